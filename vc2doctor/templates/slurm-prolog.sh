#!/bin/bash
# A TaskProlog of Slurm (slurm.conf: TaskProlog=/etc/slurm/vc2doctor-prolog.sh). It runs as the user, before each task.
#
# Slurm prints lines that begin with "print" to the output of the job. A TaskProlog that ends with another code than 0
# ends the task, and does not drain the node. Only an environment that is not fit (1) ends it. If the doctor could not
# finish (3), or was started wrongly (2), the task runs.
#
# vc2doctor has to be on PATH: `uv tool install vc2doctor`. Before the release: the folder of a checkout, or
# git+https://HOST/OWNER/vc2doctor@COMMIT, in place of the name. For a gate before the training command, which trains a
# few steps as well, see `vc2doctor init slurm-job`.
#
# VC2DOCTOR_PYTHON names the environment of the job; without it, nothing is checked.
set -u
[ -n "${VC2DOCTOR_PYTHON:-}" ] || exit 0

report=$(vc2doctor check --no-probe --accept inferred --python "$VC2DOCTOR_PYTHON" 2>&1)
code=$?
while IFS= read -r line; do
  printf 'print %s\n' "$line"
done <<< "$report"
[ "$code" -ne 1 ]
