#!/usr/bin/env bash
# Writes what a release leaves on disk, for later ones to open: make.sh FLEETFIT FOLDER
# FOLDER gets home.tar.gz, and what the release answered about it.
set -euo pipefail
fleetfit="$(realpath "$1")"
mkdir -p "$2"
folder="$(realpath "$2")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
export FLEETFIT_HOME="$work/home"

printf 'store,price,sales\n' > sales.csv
for row in $(seq 1 90); do
    price=$((row * 7 % 13))
    printf '%s,%s,%s\n' "$((row % 3 + 1))" "$price" "$((40 + row % 3 - 2 * price))" >> sales.csv
done
printf 'store,price\n1,3\n2,5\n3,11\n' > new.csv
cat > fleet.yaml <<'JOB'
type: sweep
name: fleet
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: "${{search_space.model}}"}
search_space:
  model:
    - learner: ridge
      alpha: {type: float, min: 0.001, max: 10, scale: log}
    - learner: decision_tree
      max_depth: [2, 4]
sampling_algorithm: random
objective: {goal: minimize, primary_metric: mae}
n_cross_validations: 3
limits: {max_total_trials: 8}
seed: 3
JOB
cat > half.yaml <<'JOB'
type: sweep
name: half
trial:
  code: code
  command: ./measure.sh ${{search_space.x}}
search_space:
  x: [1, 2, 3, 4, 5, 6, 7, 8]
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 8, max_concurrent_trials: 1}
seed: 1
JOB
mkdir code
cat > code/measure.sh <<'PROGRAM'
#!/bin/sh
echo "measuring $1"
sleep 0.2
echo "{\"metric\": \"loss\", \"value\": $1}"
PROGRAM
chmod +x code/measure.sh

"$fleetfit" serve --listen 127.0.0.1:0 --quiet 2> serve.log &
service=$!
until "$fleetfit" studies > /dev/null 2>&1 && [[ -e home/api.sock ]]; do sleep 0.1; done
"$fleetfit" submit fleet.yaml --wait --output json > /dev/null
"$fleetfit" submit half.yaml --output json > /dev/null
until [[ "$("$fleetfit" status half --output json | grep -o '"completed":[0-9]*')" > '"completed":2' ]]; do
    sleep 0.05
done
# In the middle, as a machine that loses its power.
kill -9 "$service"
wait "$service" 2> /dev/null || true
sleep 1

rm -f home/api.sock
tar -czf "$folder/home.tar.gz" home
"$fleetfit" status fleet --output json > "$folder/status.json"
"$fleetfit" trials fleet --output json > "$folder/trials.jsonl"
"$fleetfit" best fleet --all --output json > "$folder/best.jsonl"
"$fleetfit" predict fleet --data new.csv > "$folder/predictions.csv"
cp new.csv "$folder/"
