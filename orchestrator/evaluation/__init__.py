"""From LoRA files to the verdict: which epoch at which weight, and how sure that is.

    evaluate     READ FIRST: the stages in their order
    scout        seeds that obey the poses without LoRA
    rounds       every cell on the same seeds, with a baseline; what was observed on each picture
    judge, tags  obedience, from the server's tagger
    identity     likeness between anchors measured in this very project
    statistics   intervals over seeds, the cells that may be best, seeds needed
    verdict      gates, one declared utility, two sentences; trade_offs beside them

`records` keeps what the stages find in the workspace, `inputs` names what they found it for.
"""
