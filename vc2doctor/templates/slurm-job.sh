#!/bin/bash
#SBATCH --job-name=train
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
# The gate requires a GPU, so the job asks for one on each node:
#SBATCH --gres=gpu:1
#SBATCH --time=24:00:00
# Each node is checked before its first step. If it is not fit, srun ends with 125, and no training begins.
#
# vc2doctor has to be on PATH: `uv tool install vc2doctor`. Before the release: the folder of a checkout, or
# git+https://HOST/OWNER/vc2doctor@COMMIT, in place of the name.
set -eu
# Your team's decisions, and the findings that were there before (written once with --update-baseline):
# (The last line also works with bash before 4.4, which takes an empty list for one that is not set.)
options=()  # --config vc2doctor.toml --baseline vc2doctor-baseline.json
source .venv/bin/activate
srun --kill-on-bad-exit=1 vc2doctor gate --require gpu ${options[@]+"${options[@]}"} -- python train.py "$@"
