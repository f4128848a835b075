#!/usr/bin/env bash
# sbatch slurm.sh, or for some shards alone: sbatch --array=2,5 slurm.sh. The number of shards below stays the same.
#SBATCH --job-name=cognito-unlink
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=512M
#SBATCH --time=1-00:00:00
# SIGTERM a minute before the time is up: the program finishes its calls and ends with 143.
#SBATCH --signal=B:TERM@60
# Again after a preemption or a failed node. To have exit codes requeued as well, slurm.conf needs RequeueExit=6,137,143.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=cognito-unlink-%A_%a.log
set -euo pipefail

shards=8

# In place of this shell, so that signals reach the program and its exit code is that of the job.
exec cognito-unlink run people.csv.gz \
  --shard "${SLURM_ARRAY_TASK_ID:?start this with sbatch}/$shards" \
  --results results/ \
  --rate 10 \
  --expect-account 111122223333 \
  --yes
