#!/bin/sh
# Make the default model anew: train it, score it on dev splits, and pack it with these scores in its card. What is
# finished is not done again. Needs the data of docs/data.md.
#
#   sh scripts/train_default.sh
#
# The baselines beside it, and other precisions: python scripts/run_experiment.py configs/default/evaluate.yaml
set -eu
runs=runs/default
model=$runs/preference/model
for recipe in small/open/pretrain default/finetune default/refine default/longer default/longest default/preference; do
    genlink train "configs/$recipe.yaml" --resume
done
python scripts/run_experiment.py configs/default/evaluate.yaml --row "default model"

# Over its own dictionary it is scored by CRAFT, four of whose vocabularies are in it; the model was not trained on
# anything of CRAFT. Its probabilities, and when it says NIL, are fitted to all mentions there: genes, organisms and
# processes are not in the dictionary.
python scripts/make_default.py --dictionary "$runs/kb"
genlink evaluate "$model" data/craft/dev.jsonl.gz --kb "$runs/kb" --dictionary kb --preset angel --preset strict \
    --type MONDO --type CHEBI --type CL --type UBERON --name "default model" --result results/default_own/craft.json
genlink evaluate "$model" data/craft/dev.jsonl.gz --kb "$runs/kb" --dictionary kb --preset angel \
    --name "default model" --predictions "$runs/craft.jsonl" --result "$runs/craft.json"
genlink calibrate "$runs/craft.jsonl" --name "default model" --output "$runs/calibration.json" \
    --result results/default_calibration/craft.json
python scripts/make_default.py "$model" --calibration "$runs/calibration.json" \
    --results "$runs"/evaluate/*/default-model/*.json results/default_own/craft.json
