"""From LoRA files to the verdict: which epoch at which weight, and how sure that is.

    evaluate     READ FIRST: the stages in their order
    scout        seeds that obey the poses without LoRA
    rounds       every cell on the same seeds, with a baseline; what was observed on each picture
    racing       which of them are drawn at all, and the one confirmation on fresh seeds
    metrics/     a file and a line for each number of a picture, with its source and when it is wrong
    judge        obedience, from the server's tagger
    identity     likeness between anchors measured in this very project
    statistics   intervals over seeds, the cells that may be best, seeds needed
    verdict      gates, one declared utility, two sentences; trade_offs beside them
    votes/       blind pairs in the browser, and which metric predicts your taste

`records` keeps what the stages find in the workspace, `inputs` names what they found it for.
"""
