#!/usr/bin/env bash
#SBATCH --job-name=mlbench
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
# A Ray cluster of this job's nodes, and a run on it: sbatch slurm.sh --config comprehensive --output results
# The first node is the head and has the driver; the others measure. Activate the environment that all of them share before.
set -euo pipefail
port=${MLBENCH_RAY_PORT:-6379}
store=${MLBENCH_STORE_BYTES:-1000000000}
# Whoever reaches a Ray cluster can run code on it: only who has the token, which lies in the home that all nodes share.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
measuring=$((${#hosts[@]} - 1))

on() {  # HOST COMMAND...: one task there; only ever in a shell of its own, so that a signal reaches it
    local host=$1
    shift
    exec srun --overlap --nodes=1 --ntasks=1 --nodelist="$host" "$@"
}

address=$(on "${hosts[0]}" hostname --ip-address | awk '{print $1}')
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
on "${hosts[0]}" ray start --head --block --node-ip-address="$address" --port="$port" --num-cpus=0 \
    --object-store-memory="$store" --include-dashboard=false &
for host in "${hosts[@]:1}"; do
    on "$host" ray start --block --address="$address:$port" --resources='{"mlbench": 1}' --object-store-memory="$store" &
done
python - "$address:$port" "$measuring" <<'WAIT'
import sys, time
import ray
address, wanted = sys.argv[1], int(sys.argv[2])
for _ in range(60):
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        break
    except ConnectionError:
        time.sleep(2)
for _ in range(60):
    there = sum(node["Alive"] and "mlbench" in node["Resources"] for node in ray.nodes())
    if there >= wanted:
        sys.exit()
    time.sleep(2)
sys.exit(f"only {there} of {wanted} nodes have joined the Ray cluster")
WAIT
mlbench run --executor ray --address "$address:$port" "$@"
