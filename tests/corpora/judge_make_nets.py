"""Writes ordinary networks with torch, transformers and MLflow: `python judge_make_nets.py OUT`.

As judge_make_tables.py: one folder a shape; what is not installed is left out. The results are in judge_stored_*.py.
"""

import os
import sys
import warnings
from pathlib import Path

os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3", HF_HUB_OFFLINE="1")
import numpy as np

warnings.simplefilter("ignore")
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out")
X = np.arange(40, dtype="f4").reshape(10, 4) / 40
RECIPES = []


def recipe(function):
    """Register a maker."""
    RECIPES.append(function)
    return function


def at(shape, path):
    """The path of one file, in a folder that exists."""
    target = OUT / shape / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return str(target)


@recipe
def torch_states():
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.LayerNorm(3), nn.Linear(3, 1))
    loss = net(torch.tensor(X)).sum()
    adam = torch.optim.AdamW(net.parameters())
    loss.backward()
    adam.step()
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 10)
    torch.save(net.state_dict(), at("torch--state-dict", "pytorch_model.bin"))
    torch.save(net.state_dict(), at("torch--state-dict-legacy", "model.pth"), _use_new_zipfile_serialization=False)
    torch.save(
        {
            "epoch": 3,
            "model": net.state_dict(),
            "optimizer": adam.state_dict(),
            "scheduler": plan.state_dict(),
            "rng": torch.get_rng_state(),
            "args": {"lr": 0.1, "eval": True},
        },
        at("torch--checkpoint", "last.ckpt"),
    )
    torch.save(net, at("torch--whole-module", "model.pt"))
    torch.save(plan.state_dict(), at("torch--scheduler", "scheduler.pt"))
    torch.save(adam.state_dict(), at("torch--optimizer", "optimizer.pt"))
    torch.save(
        [
            torch.tensor([1.0], dtype=torch.bfloat16),
            torch.eye(3).to_sparse(),
            torch.tensor([1 + 2j]),
            torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        ],
        at("torch--odd-tensors", "t.pt"),
    )
    import argparse

    torch.save(
        {"args": argparse.Namespace(lr=0.1, exec_mode="train"), "np": np.float64(1.0), "path": Path("out")},
        at("torch--with-namespace", "checkpoint.pth.tar"),
    )
    import random

    torch.save(
        {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()},
        at("torch--rng-state", "rng_state.pth"),
    )


@recipe
def torch_modules():
    import torch
    from torch import nn

    small = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.1)).eval()
    torch.save(small, at("torch--convolution-module", "model.pth"))
    torch.save(nn.LSTM(2, 3, batch_first=True), at("torch--lstm-module", "lstm.pt"))
    torch.save(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), at("torch--transformer-module", "encoder.pt"))
    torch.save(torch.utils.data.TensorDataset(torch.eye(2)), at("torch--dataset", "train.pt"))
    torch.save(torch.distributions.Normal(0.0, 1.0), at("torch--distribution", "prior.pt"))
    torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 2)), {nn.Linear})


@recipe
def torch_script():
    import torch
    from torch import nn

    class Scorer(nn.Module):
        """A scripted module with a branch and a helper called eval_score."""

        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 1)

        @torch.jit.export
        def eval_score(self, x):
            """A second method."""
            return self.lin(x)

        def forward(self, x):
            """Scores."""
            if bool(x.sum() > 0):
                return torch.sigmoid(self.lin(x))
            return self.lin(x)

    torch.jit.script(Scorer()).save(at("torch--script", "scripted.pt"))
    torch.jit.trace(nn.Sequential(nn.Linear(4, 1)), torch.ones(1, 4)).save(at("torch--trace", "traced.pt"))


@recipe
def torch_export():
    import torch

    program = torch.export.export(torch.nn.Linear(4, 1).eval(), (torch.ones(1, 4),))
    torch.export.save(program, at("torch--export", "model.pt2"))


@recipe
def torch_onnx():
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Softmax(-1)).eval()
    torch.onnx.export(model, (torch.ones(1, 4),), at("onnx--torch-script-exporter", "m.onnx"), dynamo=False)
    torch.onnx.export(model, (torch.ones(1, 4),), at("onnx--torch-dynamo", "m.onnx"), dynamo=True, external_data=False)


@recipe
def lightning():
    import pytorch_lightning as pl
    import torch

    class Net(pl.LightningModule):
        """The smallest Lightning module."""

        def __init__(self, lr=0.1):
            super().__init__()
            self.save_hyperparameters()
            self.lin = torch.nn.Linear(4, 1)

        def training_step(self, batch, _):
            """One step."""
            return self.lin(batch[0]).sum()

        def configure_optimizers(self):
            """Plain SGD."""
            return torch.optim.SGD(self.parameters(), self.hparams.lr)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X)))
    trainer = pl.Trainer(
        max_epochs=1,
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        default_root_dir=OUT / "x",
        callbacks=[pl.callbacks.ModelCheckpoint(dirpath=OUT / "x")],
        enable_model_summary=False,
    )
    trainer.fit(Net(), loader)
    trainer.save_checkpoint(at("torch--lightning", "epoch=0-step=10.ckpt"))


@recipe
def transformers_files():
    import torch
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, TrainingArguments

    bert = BertConfig(
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        vocab_size=8,
        max_position_embeddings=8,
    )
    BertModel(bert).save_pretrained(OUT / "hub--bert-folder")
    llama = LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=16)
    LlamaForCausalLM(llama).save_pretrained(OUT / "hub--llama-sharded", max_shard_size="1KB")
    torch.save(TrainingArguments(output_dir="out"), at("hub--training-args", "training_args.bin"))


@recipe
def adapters():
    from peft import LoraConfig, get_peft_model
    from transformers import BertConfig, BertModel

    bert = BertConfig(hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4, vocab_size=8)
    get_peft_model(BertModel(bert), LoraConfig(r=1, target_modules=["query"])).save_pretrained(OUT / "hub--peft-lora")


@recipe
def mlflow_folders():
    import mlflow
    import mlflow.sklearn
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(X, [0, 1] * 5)
    signed = mlflow.models.infer_signature(X, model.predict(X))
    mlflow.sklearn.save_model(
        model,
        OUT / "mlflow--sklearn",
        signature=signed,
        input_example=pd.DataFrame(X[:2]),
        serialization_format="cloudpickle",
    )
    import xgboost

    mlflow.xgboost.save_model(
        xgboost.XGBClassifier(n_estimators=1, max_depth=1).fit(X, [0, 1] * 5), OUT / "mlflow--xgboost"
    )
    import lightgbm

    mlflow.lightgbm.save_model(
        lightgbm.LGBMClassifier(n_estimators=1, min_child_samples=1, verbose=-1).fit(X, [0, 1] * 5),
        OUT / "mlflow--lightgbm",
    )
    mlflow.sklearn.save_model(model, OUT / "mlflow--sklearn-pickle", serialization_format="pickle")
    import statsmodels.api as sm

    mlflow.statsmodels.save_model(sm.OLS(X[:, 0], X[:, 1:]).fit(), OUT / "mlflow--statsmodels")


@recipe
def mlflow_python():
    import mlflow

    class Scaler(mlflow.pyfunc.PythonModel):
        """A Python model of the user's own, as the MLflow guide shows it."""

        def __init__(self, factor):
            self.factor = factor

        def predict(self, context, model_input, params=None):
            """Scale the input."""
            return model_input * self.factor

    mlflow.pyfunc.save_model(
        OUT / "mlflow--own-python-model", python_model=Scaler(2), pip_requirements=["mlflow==3.17.2"]
    )


def run():
    """Make all that can be made here."""
    for made in RECIPES:
        try:
            made()
        except Exception as error:
            sys.stderr.write(f"left out {made.__name__}: {type(error).__name__}: {str(error)[:200]}\n")


if __name__ == "__main__":
    run()
