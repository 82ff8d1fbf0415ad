#!/bin/sh
# Make the default model anew: train it, score it on dev splits, fit its probabilities, and pack it with these scores in
# its card. What is finished is not done again. Needs the data of docs/data.md, and what configs/default/evaluate.yaml
# names. How the weight of spelling was chosen: configs/default/spelling.yaml.
#
#   sh scripts/train_default.sh
set -eu
spelling=4
runs=runs/default
for recipe in small/open/pretrain default/finetune default/refine default/preference; do
    genlink train "configs/$recipe.yaml" --resume
done
python scripts/run_experiment.py configs/default/evaluate.yaml
fitted_on="ncbi_disease bc5cdr_disease bc5cdr_chemical"
for corpus in $fitted_on; do
    cat "$runs/evaluate/$corpus/default-model/kb.jsonl"
done > "$runs/dev.jsonl"
genlink calibrate "$runs/dev.jsonl" --output "$runs/calibration.json" --name "default model" \
    --result results/calibration/default.json
python scripts/make_default.py "$runs/preference/model" --spelling "$spelling" --calibration "$runs/calibration.json" \
    --results "$runs"/evaluate/*/default-model/*.json
