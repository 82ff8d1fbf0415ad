#!/bin/sh
# Score the linkers of the disease corpora on their dev splits; writes results/ncbi_disease and results/bc5cdr_disease.
# Needs the models of configs/small/ncbi_disease and configs/small/bc5cdr_disease (genlink train), and the data of docs/data.md.
#
#   sh scripts/evaluate_diseases.sh [ncbi_disease|bc5cdr_disease]      one of the two, or both
set -eu
wanted=${1:-all}

# evaluate CORPUS-FOLDER SYSTEM NAME ORDER: under both dictionaries, both presets. KB, CORPUS and TRAIN are set below.
evaluate() {
    folder=$1 system=$2 name=$3 order=$4
    shift 4
    for dictionary in kb kb+train; do
        slug=$(printf '%s %s' "$name" "$dictionary" | tr -c 'A-Za-z0-9\n' '-')
        case $dictionary in kb) row=$order ;; *) row=$((order + 10)) ;; esac
        genlink evaluate "$system" "$CORPUS" --train "$TRAIN" --dictionary "$dictionary" --preset angel --preset strict \
            --name "$name" --order "$row" --predictions "runs/$folder/predictions/$slug.jsonl" \
            --result "results/$folder/$slug.json" "$@"
    done
}

if [ "$wanted" != bc5cdr_disease ]; then
    KB=data/dictionaries/medic2012.txt CORPUS=data/ncbi_disease/dev.pubtator TRAIN=data/ncbi_disease/train.pubtator
    evaluate ncbi_disease exact "exact match" 1 --kb "$KB"
    evaluate ncbi_disease tfidf "TF-IDF" 2 --kb "$KB"
    evaluate ncbi_disease runs/ncbi_disease/medic_only_finetune/model "generator, pre-trained on MEDIC" 3
    evaluate ncbi_disease runs/ncbi_disease/finetune/model "generator, pre-trained on open vocabularies" 4
fi
if [ "$wanted" != ncbi_disease ]; then
    KB=data/dictionaries/ctd_diseases2017.txt CORPUS=data/bc5cdr/dev.pubtator TRAIN=data/bc5cdr/train.pubtator
    evaluate bc5cdr_disease exact "exact match" 1 --kb "$KB" --type Disease
    evaluate bc5cdr_disease tfidf "TF-IDF" 2 --kb "$KB" --type Disease
    evaluate bc5cdr_disease runs/bc5cdr_disease/finetune/model "generator, pre-trained on open vocabularies" 3 \
        --type Disease
fi
