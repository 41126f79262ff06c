#!/usr/bin/env bash
# A whole Slurm cluster on this machine, for tests: one node, controller and daemon, without systemd
# and without touching /etc/slurm or /run/munge.
#
#   slurm_node.sh up DIR      start (as root); then: export SLURM_CONF=DIR/slurm.conf
#   slurm_node.sh down DIR    stop what it started, by process number, and wait for it
#
# Needs the Debian packages slurmctld, slurmd, slurm-client and munge. Partitions: `low`, whose jobs
# are preempted (requeued) for those of `high`, and `steady`, which knows no preemption.
set -euo pipefail
command=${1:?up or down}
dir=$(realpath -m "${2:?a folder for state and logs}")
export SLURM_CONF=$dir/slurm.conf

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2> /dev/null; }

wait_until() {  # SECONDS COMMAND...: until the command succeeds
  local tries=$(($1 * 10))
  shift
  until "$@" > /dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.1
  done
}

is_dead() { ! alive "$1"; }
is_ready() { [[ $(sinfo --noheader --partition=low --format=%T) =~ ^(idle|mixed|allocated)$ ]]; }
is_empty() { [ -z "$(squeue --noheader --states=running,completing)" ]; }

configure() {
  local host port
  host=$(hostname -s)
  port=$((20000 + RANDOM % 20000))
  cat > "$SLURM_CONF" << CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# a requeued job waits for the end of its credential: 2 minutes, if nobody says otherwise
AuthInfo=cred_expire=5,socket=$dir/munge/socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# else a preempted job is told of it by SIGTERM alone
SlurmctldParameters=preempt_send_user_signal
# numbers that no earlier cluster here has given
FirstJobId=$(($(date +%s) % 60000000))
# four CPUs wherever it runs: the number of jobs at a time does not depend on the machine
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high Nodes=$host PriorityTier=10 PreemptMode=OFF
PartitionName=steady Nodes=$host PriorityTier=1 PreemptMode=OFF
CONF
  # 22.05 always loads a cgroup plug-in; with the plug-ins above it touches no cgroup
  echo CgroupPlugin=cgroup/v1 > "$dir/cgroup.conf"
}

up() {
  mkdir -p "$dir"/{state,spool,munge}
  chmod 0755 "$dir" "$dir/munge"
  [ -s "$dir/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom > "$dir/munge/key")
  [ -s "$SLURM_CONF" ] || configure
  alive "$dir/munge/pid" || munged --force --num-threads=1 --socket="$dir/munge/socket" \
    --key-file="$dir/munge/key" --log-file="$dir/munge/log" --pid-file="$dir/munge/pid" \
    --seed-file="$dir/munge/seed"
  alive "$dir/slurmctld.pid" || slurmctld
  alive "$dir/slurmd.pid" || slurmd
  if ! wait_until 30 is_ready; then
    tail -n 20 "$dir"/*.log >&2
    exit 1
  fi
}

down() {
  if alive "$dir/slurmctld.pid"; then
    scancel --user="$(id -un)" || true
    wait_until 30 is_empty || true
  fi
  for file in "$dir"/slurmd.pid "$dir"/slurmctld.pid "$dir"/munge/pid; do
    alive "$file" || continue
    kill "$(cat "$file")"
    wait_until 10 is_dead "$file" || kill -9 "$(cat "$file")"
  done
}

case $command in
  up) up ;;
  down) down ;;
  *) echo "usage: slurm_node.sh up|down DIR" >&2 && exit 2 ;;
esac
