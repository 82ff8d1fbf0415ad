#!/bin/sh
# Train over the whole vocabulary and over the trie, three seeds each, and compare them on dev; writes results/objectives.
# Needs the data of docs/data.md and two pre-trained models, which differ in their objective alone:
#
#   genlink train configs/small/ncbi_disease/pretrain.yaml
#   genlink train configs/small/ncbi_disease/pretrain.yaml --set objective=trie --output runs/ncbi_disease/pretrain_trie
#   sh scripts/compare_objectives.sh        JOBS=4 trains four models at a time (default 2); begun again, it goes on
set -eu

# run CORPUS PRETRAINED FINETUNED SEED: fine-tune one model and link the dev mentions to both dictionaries.
run() {
    corpus=$1 pretrained=$2 finetuned=$3 seed=$4
    output=runs/objectives/$corpus/$pretrained-$finetuned-$seed
    case $pretrained in full) checkpoint=runs/ncbi_disease/pretrain/model ;; *) checkpoint=runs/ncbi_disease/pretrain_$pretrained/model ;; esac
    case $corpus in
        ncbi_disease) data=data/ncbi_disease types= ;;
        bc5cdr_disease) data=data/bc5cdr types="--type Disease" ;;
    esac
    # The last step is kept, not the best: dev chooses nothing here.
    [ -e "$output/run.json" ] && [ -d "$output/model" ] || genlink train "configs/small/$corpus/finetune.yaml" --overwrite \
        --set "model.checkpoint=$checkpoint" --set "objective=$finetuned" --set "seed=$seed" --set optimiser.steps=400 \
        --set dev.keep=last --set dev.every=400 --output "$output"
    for dictionary in kb kb+train; do
        predictions=$output/$dictionary.jsonl
        [ -e "$predictions" ] || genlink evaluate "$output/model" "$data/dev.pubtator" --train "$data/train.pubtator" \
            $types --dictionary "$dictionary" --preset angel --predictions "$predictions" > "$output/$dictionary.txt"
    done
}

if [ $# -eq 4 ]; then
    run "$@"
    exit
fi
for objectives in "full full" "trie trie" "full trie"; do
    for seed in 0 1 2; do
        for corpus in ncbi_disease bc5cdr_disease; do
            echo "$corpus $objectives $seed"
        done
    done
done | xargs -P "${JOBS:-2}" -L 1 sh "$0"
for corpus in ncbi_disease bc5cdr_disease; do
    for dictionary in kb kb+train; do
        runs=runs/objectives/$corpus
        python scripts/compare_seeds.py "results/objectives/$corpus-$dictionary.json" \
            "full, then full=$runs/full-full-*/$dictionary.jsonl" "full, then trie=$runs/full-trie-*/$dictionary.jsonl" \
            "trie, then trie=$runs/trie-trie-*/$dictionary.jsonl"
    done
done
