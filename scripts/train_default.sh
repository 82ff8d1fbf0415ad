#!/bin/sh
# Make the default model anew: train it, score it on dev splits, and pack it with these scores in its card. What is
# finished is not done again. Needs the data of docs/data.md, and what configs/default/evaluate.yaml names.
#
#   sh scripts/train_default.sh
set -eu
for recipe in small/open/pretrain default/finetune; do
    genlink train "configs/$recipe.yaml" --resume
done
python scripts/run_experiment.py configs/default/evaluate.yaml
python scripts/make_default.py runs/default/finetune/model --results runs/default/evaluate/*/default-model/*.json
