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
for recipe in small/open/pretrain default/finetune default/refine default/longer default/preference; do
    genlink train "configs/$recipe.yaml" --resume
done
python scripts/run_experiment.py configs/default/evaluate.yaml --row "default model"

# Probabilities are those over its own dictionary, so they are fitted when it is packed with it: to CRAFT, which is linked
# to four of its vocabularies, and of which it was not trained on anything.
python scripts/make_default.py "$model" --results "$runs"/evaluate/*/default-model/*.json
genlink evaluate default data/craft/dev.jsonl.gz --type MONDO --type CHEBI --type CL --type UBERON --dictionary kb \
    --preset angel --preset strict --predictions "$runs/craft.jsonl" --result results/default_own/craft.json
genlink calibrate "$runs/craft.jsonl" --name "default model" --output "$runs/calibration.json" \
    --result results/default_calibration/craft.json
python scripts/make_default.py "$model" --calibration "$runs/calibration.json" \
    --results "$runs"/evaluate/*/default-model/*.json results/default_own/craft.json
