"""The words that Assay uses, each once, in plain language: for `docs/glossary.md` and `assay explain WORD`."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "System": "What an organisation answers for: its purpose, owner, role and risk. It may have no model file at all.",
    "Release": "What ships together: model, preprocessing, threshold, input schema, feature contract, the digest of "
    "the data that trained it, and what judges it (holdout, champion). Change any of them and it is another Release: "
    "old evidence and approvals do not apply to it.",
    "Subject": "One thing that can be examined: a file, a table, a model. It has a name and a digest.",
    "Check": "A documented question asked of one kind of subject. `assay explain` lists them.",
    "Finding": "One fact that someone should act on, with its place, severity, confidence and fix.",
    "Severity": "How much harm follows if a finding is real: critical, high, medium, low or info.",
    "Confidence": "How sure a check is that its finding is real. It is apart from severity.",
    "Measure": "A number with its uncertainty: the value, the 95% interval, and how many rows it rests on.",
    "Exhibit": "The data of one picture: a curve, intervals, a histogram, a table or a waterfall.",
    "Outcome": "What one check said of one subject: pass, fail, open or not applicable.",
    "Open": "Could not be judged. It is never counted as a pass: a gate stays indeterminate until someone looks.",
    "Report": "All outcomes of one run. Its body is the same bytes for the same inputs.",
    "Evidence": "A report signed by whoever ran it. Bundles from several machines join at the gate.",
    "Policy": "The written rules of the release gate, signed by their owner.",
    "Roster": "Who people are: names, roles and public keys. It is signed apart from the policy.",
    "Approval": "A person's signed word that one Release may ship, with an end date.",
    "Waiver": "A person's signed, reasoned acceptance of one finding on one Release, with an end date. A critical "
    "finding needs two people, neither of them the author.",
    "Author": "Whoever signed the model. Authors approve and waive nothing of their own.",
    "Gate": "The decision whether a Release may ship, by policy, from facts: allow, deny or indeterminate.",
    "Decision": "What the gate decided, with the trace of every rule.",
    "Indeterminate": "The gate could not decide, because a fact is missing, stale, open or not a number. It does not "
    "allow the Release.",
    "Verdict": "The signed statement of a decision. Only ALLOW lets a deployment verify it.",
    "Ledger": "The append-only record of evidence, decisions and verdicts. Any edit or deletion is noticed.",
    "Checkpoint": "A signed note of the ledger's size and root. Whoever keeps one notices a rollback.",
    "Entry": "One line of the ledger.",
    "Terms": "What the figures of a Release rest on besides its files: the feature contract, and the facts about model "
    "and data in assay.yaml. Whoever is judged writes them; approvers see them, and a policy can pin their digest.",
    "Refusal": "A person's signed no to one Release. It denies, and does not end: only that person takes it back.",
    "Erasure": "A payload of the ledger that was deleted on request. Its entry stays; a Release of which a word was "
    "erased is allowed no more.",
    "Digest": "A SHA-256 fingerprint of bytes: the same bytes, the same digest.",
    "Fingerprint": "What makes a finding the same one in the next run, so that it can be waived or tracked.",
    "Threshold": "The score at and above which the model says yes. It is part of the Release.",
    "Feature contract": "What is known of each input: its range, its order, what an attacker can change and its cost.",
    "Threat model": "What an attacker is taken to be able to do: the feature contract, what is seen of the model "
    "(access), how often it may be asked, and the budget. `assay attack init` drafts one.",
    "Budget": "How much an attacker may change, in the units of the feature contract.",
    "Sanity test": "What an attack must pass before its result is believed: an unlimited budget must always succeed, "
    "holes planted in the model must be found at their cost, and every example is asked again of the real model.",
    "Champion": "The model in use today, to which a new one is compared on the same rows.",
    "Allow": "A line of assay.yaml (`allow:`) that lets a pickled model name a class or function that no list knows: "
    "for one model, with a reason and an end date. What is known to be dangerous cannot be allowed.",
    "Rescan": "Asking again of what was released already, by what a threat pack learned since (`assay rescan`).",
    "Threat pack": "What was learned of threats since a version of Assay came out: a signed, versioned file. What it "
    "supersedes is stale at the gate.",
    "Trigger": "Values, or a phrase, that an attacker put into training rows so that whoever carries them gets the "
    "answer that the attacker wants (a backdoor).",
    "Detectable dose": "The smallest share of poisoned rows that the checks would find in four of five plantings, in "
    "your own table (`assay data dose`).",
    "Patch": "What `assay harden` changed in a table, row by row with its reason. It can be repeated and reverted.",
    "Suspects": "The rows that checks point at, by number, with a score and a reason (`--suspects FILE`).",
    "Reference": "What later rows are compared with (`assay watch`): a table's counts in fixed bins, no rows.",
    "Notice": "An alarm of a watch, written down in the ledger. What `assay attack notice` writes is a counterfactual "
    "notice.",
    "Counterfactual notice": "What a person can be told of a decision on them: which inputs of their own they could "
    "change so that it would differ (`assay attack notice`). It holds their values, and stays out of evidence.",
    "Operating point": "The threshold at which the model is used, and the recall and precision there.",
    "Sandbox": "The child process in which a pickled model is loaded: no network, no files but its own, no other "
    "process. It proves that before it loads anything.",
    "Evaded": "A row that an attack, within its rules, changed so that the model no longer flags it. The change is "
    "kept, and was asked again of the real model.",
    "Certified": "A row of which it is proved that no change within the budget gets it past the model. It holds for "
    "the norm, the budget and the feature contract under which it was proved, and for no others.",
    "Unknown": "A row that was neither evaded nor certified: the search found nothing, and could not prove that there "
    "is nothing. It is never counted as safe.",
    "Misclassified": "A row that the model passes as it is: nobody has to attack it.",
    "Lower bound": "A distance below which it is proved that no change gets a row past the model. Where it equals the "
    "distance that was found, that is the cheapest change there is.",
    "Linf": "How a change is measured: by the largest change of any one column (`--norm linf`).",
    "L2": "How a change is measured: by the square root of the sum of the squared changes (`--norm l2`).",
    "L1": "How a change is measured: by the sum of the changes of all columns (`--norm l1`).",
    "Cost": "How a change is measured: by the sum of what each column's change costs an attacker, as the feature "
    "contract prices it (`--norm cost`).",
    "Access": "What an attacker sees of the model: label (its decisions), score (its scores) or whitebox (the file "
    "itself).",
    "White-box": "An attack by someone who has the model's file (`access: whitebox`) and computes with what it holds, "
    "trees or layers, instead of asking. Only such an attack can certify rows.",
    "One-hot": "One category spread over several columns, of which exactly one is 1. A feature contract says so with "
    "`one_hot:`, and such columns change together.",
    "Affordable share": "Of the moves that caught rows would need to get past the model if everything were allowed: "
    "the share that the feature contract permits and the budget pays for. Near 0 the contract forbids what matters, "
    "and a high recall under attack then says little.",
    "Masking": "A model that hides its slope, so that attacks by gradient fail although it can be got past. Such an "
    "attack proves nothing, and Assay says so.",
    "APGD": "Auto-PGD (Croce and Hein, 2020): projected gradient descent that chooses its own steps. Assay runs an "
    "ensemble of it on networks.",
    "Hardening": "Training a model again in ways that may stand an attack, beside controls, and keeping the best only "
    "where it surely helps on rows of its own (`assay harden MODEL --train`).",
    "Original": "The model as it is, beside which `assay harden` measures every option and control.",
    "Control": "What `assay harden` trains beside its options without any defence (oversampling, noise): an option "
    "that does no better than a control has not helped.",
}

SOURCES: dict[str, str] = {
    "gate.approvals": "An approvals rule of the policy was met: people of the roles that it names signed this Release.",
    "gate.evidence": "Every evidence bundle speaks of this Release, and none contradicts another.",
    "gate.waivers": "A finding was waived by people whom the policy lets waive, with a reason and an end date.",
    "manifest.features": "assay.yaml says what an attacker can change (`features:`). Declared, not examined.",
    "manifest.system": "assay.yaml names owner, purpose and risk (`system:`). Declared, not examined.",
    "manifest.training": "assay.yaml names the commit of the training code (`training:`). Declared, not examined.",
}
"""What gives evidence for a framework's entry beside the checks."""
