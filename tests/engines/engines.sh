#!/usr/bin/env bash
# Runs shards under real engines, GNU parallel and Slurm, kills some of them, and lets the engine start them again. At the end every row
# is settled once, by the merged results and by the emulator. Needs Debian and root, and installs the engines.
#
# usage: engines.sh PROGRAM. The last line counts the checks.
set -uo pipefail
program=$(realpath "${1:?the program}")
shards=4
rows=240
passed=0
failed=0
pids=()
work=$(mktemp -d)
# Slurm's daemons look into it.
chmod 755 "$work"

# Ends what was started, the last first.
clean_up() {
  for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
    kill "${pids[at]}" 2>/dev/null
    wait "${pids[at]}" 2>/dev/null
  done
  rm -rf "$work"
}
trap clean_up EXIT

finish() {
  echo "$passed passed, $failed failed"
  exit $((failed > 0))
}

check() {
  if [[ $2 == "$3" ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "$1: expected $3, got $2"
  fi
}

# Waits for a condition, for two minutes at most.
await() {
  local deadline=$((SECONDS + 120))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

export AWS_ACCESS_KEY_ID=AKIDENGINES AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null

# Begins a case in a folder of its own: people, and an emulator with their links. Calls take so long that some are in flight at a kill.
begin() {
  case=$1
  folder=$work/$case
  mkdir -p "$folder/out"
  cd "$folder" || exit 1
  {
    echo identity_id,identity_pool_id,developer_provider_name,developer_user_identifier
    for ((n = 1; n <= rows; n++)); do
      printf 'us-east-1:00000000-0000-4000-8000-%012x,us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63,login.example.com,acct-%d\n' "$n" "$n"
    done
  } >people.csv
  "$program" emulator --links people.csv --latency 150ms >url 2>counters &
  emulator=$!
  pids+=("$emulator")
  await test -s url || exit 1
  url=$(<url)
  # The shell of an element: it makes an end by a signal an exit code, as an engine sees it.
  cat >element <<END
#!/bin/sh
"$program" run "$folder/people.csv" --shard "\$1" --results "$folder/out/" --endpoint-url "$url" --rate 60 --no-config >"$folder/log.\${1%/*}" 2>&1
exit \$?
END
  chmod 755 element
}

results() {
  printf '%s/out/people.%05d-of-%05d.results.csv' "$folder" "$1" "$shards"
}

has_lines() {
  (($(wc -l <"$1") > $2))
}

# Kills the process of a shard, once it has settled some rows.
kill_shard() {
  await has_lines "$(results "$1")" 8 || return 1
  local log
  log=$(printf '%s/out/people.%05d-of-%05d.runs.jsonl' "$folder" "$1" "$shards")
  kill -9 "$(sed -n '1s/.*"pid":\([0-9]*\).*/\1/p' "$log")"
}

# Checks the results of a case: every row is done, in one line, and the emulator has removed every link.
end() {
  "$program" merge out/ --out merged.csv >merge.log 2>&1
  check "$case: merge" $? 0
  "$program" report out/ >report.log 2>&1
  check "$case: report" $? 0
  local done=',(unlinked|unlinked_reply_lost|not_linked),'
  check "$case: rows that are done" "$(grep -Ec "$done" merged.csv)" "$rows"
  check "$case: users that are done" "$(grep -E "$done" merged.csv | cut -d, -f7 | sort -u | wc -l)" "$rows"
  # What was in flight at a kill may have taken effect, and is known by that.
  check "$case: rows that another caller has unlinked" "$(grep -c ',not_linked,' merged.csv)" 0
  kill "$emulator"
  wait "$emulator" 2>/dev/null
  check "$case: links that were removed" "$(sed -n 's/.* answered, \([0-9]*\) links* removed.*/\1/p' counters)" "$rows"
}

install() {
  command -v "$1" >/dev/null && return
  shift
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return
  apt-get update -qq >/dev/null 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

# An element is killed, and --retries starts it again.
parallel_retries() {
  begin parallel_retries
  kill_shard 2 &
  local killer=$!
  parallel --will-cite --jobs "$shards" --retries 3 --halt soon,fail=1 --joblog jobs ./element "{}/$shards" ::: $(seq 0 $((shards - 1)))
  check "$case: parallel" $? 0
  wait "$killer"
  check "$case: kill" $? 0
  check "$case: runs of the killed shard" "$(grep -c '"event":"begin"' "$(results 2 | sed 's/results.csv/runs.jsonl/')")" 2
  end
}

# An element that can never succeed ends all others: with SIGTERM, and SIGTERM again 200 ms later. The same job without it goes on.
parallel_halts() {
  begin parallel_halts
  {
    for ((n = 0; n < shards; n++)); do echo "$n/$shards"; done
    await has_lines "$(results 1)" 8
    echo "9/$shards"
  } | parallel --will-cite --jobs 5 --halt now,fail=1 ./element >/dev/null 2>&1
  check "$case: parallel halts" $? 2
  check "$case: rows are left" "$(($(cat out/*.results.csv | wc -l) < rows + shards))" 1
  for ((n = 0; n < shards; n++)); do echo "$n/$shards"; done | parallel --will-cite --jobs "$shards" ./element
  check "$case: parallel goes on" $? 0
  end
}

# Slurm on this machine, without systemd.
start_slurm() {
  slurm=$work/slurm
  local host
  host=$(hostname -s)
  mkdir -p "$slurm/state" "$slurm/spool"
  head -c 1024 /dev/urandom >"$slurm/munge.key"
  chmod 400 "$slurm/munge.key"
  cat >"$slurm/slurm.conf" <<END
ClusterName=engines
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$1
SlurmdPort=$2
AuthType=auth/munge
# A requeued job waits until its credential has expired.
AuthInfo=socket=$slurm/munge.socket,cred_expire=5
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MailProg=/bin/true
RequeueExit=6,137,143
NodeName=$host NodeAddr=127.0.0.1 CPUs=$shards State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  export SLURM_CONF=$slurm/slurm.conf
  munged --foreground --force --key-file="$slurm/munge.key" --socket="$slurm/munge.socket" --pid-file="$slurm/munged.pid" \
    --log-file="$slurm/munged.log" --seed-file="$slurm/munged.seed" 2>/dev/null &
  pids+=($!)
  await test -S "$slurm/munge.socket" || return
  slurmctld -D >/dev/null 2>&1 &
  pids+=($!)
  slurmd -D >/dev/null 2>&1 &
  pids+=($!)
  await is_idle
}

is_idle() {
  [[ $(sinfo -h -o %t) == idle ]]
}

no_job() {
  [[ -z $(squeue -h) ]]
}

# An element of an array job is killed, and its exit code requeues it.
slurm_requeues() {
  begin slurm_requeues
  sbatch --parsable --requeue --array="0-$((shards - 1))" --output=/dev/null --open-mode=append --wrap \
    "./element \$SLURM_ARRAY_TASK_ID/\$SLURM_ARRAY_TASK_COUNT" >job 2>&1
  check "$case: sbatch" $? 0
  kill_shard 1
  check "$case: kill" $? 0
  await no_job
  check "$case: the array has ended" $? 0
  check "$case: runs of the killed shard" "$(grep -c '"event":"begin"' "$(results 1 | sed 's/results.csv/runs.jsonl/')")" 2
  end
}

if install parallel parallel; then
  parallel_retries
  parallel_halts
else
  echo "skipped: GNU parallel cannot be installed here"
fi
if install slurmctld slurm-wlm munge && [[ $(id -u) == 0 ]]; then
  if start_slurm 16817 16818; then
    slurm_requeues
  else
    check "slurm: it starts" no yes
    cat "$slurm"/*.log
  fi
else
  echo "skipped: Slurm cannot be installed here"
fi
finish
