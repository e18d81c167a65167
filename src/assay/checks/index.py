"""The static index of built-in checks: id → kind, module and function. A test holds it equal to the folder."""

from __future__ import annotations

from assay.core.subject import Kind

INDEX: dict[str, tuple[Kind, str]] = {
    "artifact.archive": (Kind.ARTIFACT, "assay.checks.artifact.archive:archive"),
    "artifact.model-code": (Kind.ARTIFACT, "assay.checks.artifact.model_code:model_code"),
    "artifact.pickle-code": (Kind.ARTIFACT, "assay.checks.artifact.pickle_code:pickle_code"),
    "artifact.unsafe-format": (Kind.ARTIFACT, "assay.checks.artifact.unsafe_format:unsafe_format"),
    "data.annotators": (Kind.DATASET, "assay.checks.data.annotators:annotators"),
    "data.drift": (Kind.TRAFFIC, "assay.checks.data.drift:drift"),
    "data.drift-nature": (Kind.TRAFFIC, "assay.checks.data.drift_nature:drift_nature"),
    "data.drift-over-time": (Kind.TRAFFIC, "assay.checks.data.drift_over_time:drift_over_time"),
    "data.duplicates": (Kind.DATASET, "assay.checks.data.duplicates:duplicates"),
    "data.joint-drift": (Kind.TRAFFIC, "assay.checks.data.joint_drift:joint_drift"),
    "data.injected-rows": (Kind.DATASET, "assay.checks.data.injected_rows:injected_rows"),
    "data.label-flips": (Kind.DATASET, "assay.checks.data.label_flips:label_flips"),
    "data.near-duplicates": (Kind.DATASET, "assay.checks.data.near_duplicates:near_duplicates"),
    "data.odd-values": (Kind.DATASET, "assay.checks.data.odd_values:odd_values"),
    "data.personal-data": (Kind.DATASET, "assay.checks.data.personal_data:personal_data"),
    "data.provenance": (Kind.DATASET, "assay.checks.data.provenance:provenance"),
    "data.representation": (Kind.DATASET, "assay.checks.data.representation:representation"),
    "data.schema": (Kind.DATASET, "assay.checks.data.schema:schema"),
    "data.split-column": (Kind.DATASET, "assay.checks.data.split_column:split_column"),
    "data.split-leakage": (Kind.DATASET, "assay.checks.data.split_leakage:split_leakage"),
    "data.target-leakage": (Kind.DATASET, "assay.checks.data.target_leakage:target_leakage"),
    "data.text-triggers": (Kind.DATASET, "assay.checks.data.text_triggers:text_triggers"),
    "data.triggers": (Kind.DATASET, "assay.checks.data.triggers:triggers"),
    "performance.holdout": (Kind.MODEL, "assay.checks.performance.holdout:holdout"),
    "performance.late-labels": (Kind.TRAFFIC, "assay.checks.performance.late_labels:late_labels"),
    "performance.unlabelled": (Kind.TRAFFIC, "assay.checks.performance.unlabelled:unlabelled"),
    "performance.versus-champion": (Kind.MODEL, "assay.checks.performance.versus_champion:versus_champion"),
    "robustness.evasion": (Kind.MODEL, "assay.checks.robustness.evasion:evasion"),
    "supply.agent-tools": (Kind.ARTIFACT, "assay.checks.supply.agent_tools:agent_tools"),
    "supply.chat-template": (Kind.ARTIFACT, "assay.checks.supply.chat_template:chat_template"),
    "supply.notebook": (Kind.ARTIFACT, "assay.checks.supply.notebook:notebook"),
    "supply.remote-code": (Kind.ARTIFACT, "assay.checks.supply.remote_code:remote_code"),
    "supply.requirements": (Kind.ARTIFACT, "assay.checks.supply.requirements:requirements"),
    "supply.secrets": (Kind.ARTIFACT, "assay.checks.supply.secrets:secrets"),
    "supply.vulnerabilities": (Kind.ARTIFACT, "assay.checks.supply.vulnerabilities:vulnerabilities"),
}
