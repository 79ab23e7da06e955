#!/usr/bin/env bash
# Self-test of run-isolated: on this machine's own cores, and on a made-up perfect machine.
set -uo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
run=$here/run-isolated
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 not_passed=0

check() { # check WHAT COMMAND...: passes when the command succeeds
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1)); printf 'ok   %s\n' "$what"
  else
    not_passed=$((not_passed + 1)); printf 'FAIL %s\n' "$what"
    tail -n 40 "$work/log" 2>/dev/null | sed 's/^/     | /'
  fi
}

exits() { # exits CODE ARGS...: run-isolated ends with that code; output in $work/log
  local want=$1 got=0
  shift
  (cd "$work" && "$run" "$@") >"$work/log" 2>&1 || got=$?
  [[ $got == "$want" ]] || { printf 'exit code %s, not %s\n' "$got" "$want" >>"$work/log"; return 1; }
}

logged() { grep -qE -- "$1" "$work/log"; }
refused() { exits 2 "${@:2}" && logged "$1"; } # refused NAMED_IN_MESSAGE ARGS...
valid_json() {
  if command -v python3 >/dev/null; then python3 -m json.tool "$1" >/dev/null
  elif command -v jq >/dev/null; then jq -e . "$1" >/dev/null
  else [[ -s $1 ]]; fi
}
complete() { # complete DIR: every file of a result is there
  local file
  for file in environment.json checks.txt command.txt stdout.txt stderr.txt; do [[ -e $1/$file ]] || return 1; done
  valid_json "$1/environment.json"
}

perfect_machine() { # perfect_machine DIR A B: a /proc and /sys on which every check passes
  local proc=$1/proc cpu=$1/sys/devices/system/cpu core
  mkdir -p "$proc"/{irq/7/eth,sys/kernel,sys/vm} "$1"/sys/{kernel/mm/transparent_hugepage,devices/system/clocksource/clocksource0} "$cpu"/cpufreq
  echo "quiet isolcpus=managed_irq,domain,$2-$3 nohz_full=$2-$3 rcu_nocbs=$2-$3" >"$proc/cmdline"
  printf 'model name\t: Made Up\nflags\t\t: fpu constant_tsc nonstop_tsc\n' >"$proc/cpuinfo"
  printf 'cpu0 5 0 5 90 0 0 0 0 0 0\ncpu%s 1 0 1 98 0 0 0 0 0 0\ncpu%s 1 0 1 98 0 0 0 0 0 0\nctxt 100\n' "$2" "$3" >"$proc/stat"
  printf '     CPU%s CPU%s\n  7:  0  0  IO-APIC  eth\nLOC:  5  6  Local timer interrupts\n' "$2" "$3" >"$proc/interrupts"
  printf 'cpu%s 0 0 0 0 0 0 0 0 12\ncpu%s 0 0 0 0 0 0 0 0 14\n' "$2" "$3" >"$proc/schedstat"
  echo 999 >"$proc/irq/7/effective_affinity_list"
  echo '0.10 0.10 0.10 1/99 999' >"$proc/loadavg"
  echo 'Filename Type Size Used Priority' >"$proc/swaps"
  echo 10 >"$proc/sys/vm/swappiness"
  echo 950000 >"$proc/sys/kernel/sched_rt_runtime_us"
  echo 0 | tee "$proc/sys/kernel/nmi_watchdog" >"$proc/sys/kernel/soft_watchdog"
  echo 0 >"$proc/sys/kernel/watchdog_cpumask"
  echo 'always [madvise] never' >"$1/sys/kernel/mm/transparent_hugepage/enabled"
  echo tsc >"$1/sys/devices/system/clocksource/clocksource0/current_clocksource"
  echo 0-63 >"$cpu/online"
  echo "$2-$3" | tee "$cpu/isolated" >"$cpu/nohz_full"
  echo 1 >"$cpu/cpufreq/boost"
  for core in "$2" "$3"; do
    mkdir -p "$cpu/cpu$core"/{topology,cpufreq,cpuidle/state0,cache/index3,node0}
    echo "$core" >"$cpu/cpu$core/topology/thread_siblings_list"
    echo performance >"$cpu/cpu$core/cpufreq/scaling_governor"
    echo POLL >"$cpu/cpu$core/cpuidle/state0/name"
    echo 0 | tee "$cpu/cpu$core/cpuidle/state0/latency" >"$cpu/cpu$core/cpuidle/state0/disable"
    echo 3 >"$cpu/cpu$core/cache/index3/level"
    echo 0-63 >"$cpu/cpu$core/cache/index3/shared_cpu_list"
  done
}

check '--help exits 0' exits 0 --help
check '--help shows the usage' logged '^Usage:'
check 'no arguments' refused '--host-core is missing'
check 'no lane cores' refused '--lane-cores is missing' --host-core 0 host -- true
check 'a host core that is no number' refused "'x1'" --host-core x1 --lane-cores 1 host -- true
check 'lane cores that are no list' refused "'1,,2'" --host-core 0 --lane-cores 1,,2 host -- true
check 'a range that runs backwards' refused "'3-1'" --host-core 0 --lane-cores 3-1 host -- true
check 'an unknown option' refused "'--fast'" --fast --host-core 0 --lane-cores 1 host -- true
check 'an option without its value' refused '--out needs a value' --host-core 0 --lane-cores 1 --out
check 'nothing to run' refused 'nothing to run' --host-core 0 --lane-cores 1
check 'host without a command' refused 'host needs a command' --host-core 0 --lane-cores 1 host
check 'bench without a name' refused "bench: ''" --host-core 0 --lane-cores 1 bench
check 'a binary that is not there' refused "'/no/such'" --host-core 0 --lane-cores 1 --bin /no/such bench x
check 'an unknown check to accept' refused "'sunshine'" --host-core 0 --lane-cores 1 --accept sunshine host -- true

# The cores that this shell may use, which need not be 0 and 1.
read -r -a allowed <<<"$(sed -n 's/^Cpus_allowed_list:\s*//p' /proc/self/status |
  awk -F, '{ for (i = 1; i <= NF; i++) { n = split($i, r, "-"); for (c = r[1]; c <= r[n]; c++) printf "%d ", c } }')"
if ((${#allowed[@]} < 2)); then
  printf 'SKIP the runs: they need two cores and there is one here\n'
  printf '%s passed, %s failed, 1 skipped\n' "$passed" "$not_passed"
  ((not_passed == 0))
  exit
fi
a=${allowed[0]} b=${allowed[1]}
on=(--host-core "$a" --lane-cores "$b")

check 'host: exit code 0' exits 0 "${on[@]}" --out "$work/true" host -- true
check 'host: all files, valid JSON' complete "$work/true"
check 'host: a summary' logged '^(all checks passed|[0-9]+ checks failed: )'
check 'host: says where the results lie' logged "^results: $work/true\$"
check 'host: a second run does not overwrite the first' refused 'already holds a result' "${on[@]}" --out "$work/true" host -- true
check 'host: exit code 7' exits 7 "${on[@]}" --out "$work/seven" host -- sh -c 'exit 7'
check 'host: exit code 7 recorded' grep -q '"exit_code": 7' "$work/seven/environment.json"
check 'host: a command that is not there' exits 127 "${on[@]}" --out "$work/none" host -- /no/such/command
check 'host: results go to results/ by default' exits 0 "${on[@]}" host -- true
check 'host: default folder holds a result' complete "$work"/results/*-host

# shellcheck disable=SC2016  # for the inner shell
probe='echo "$SIGNAL_CORES $SIGNAL_LATENCY_DIR $(sed -n "s/^Cpus_allowed_list:\s*//p" /proc/self/status)"; echo oops >&2'
check 'host: runs' exits 0 "${on[@]}" --out "$work/probe" host -- sh -c "$probe" $'a\xff"b\\c\td\x01e\nf'
check 'host: pinned, cores and report folder in the environment' grep -qx "$b $work/probe/latency $a" "$work/probe/stdout.txt"
check 'host: stderr kept apart' grep -qx oops "$work/probe/stderr.txt"
check 'host: odd bytes in arguments leave the JSON valid' complete "$work/probe"

check 'one core named twice: runs' exits 0 --host-core "$a" --lane-cores "$a,$b" --out "$work/twice" host -- true
check 'one core named twice: FAIL distinct' logged '^FAIL distinct '
check 'a core that is not there: exit 3' exits 3 --host-core "$a" --lane-cores 99999 --out "$work/gone" host -- true
check 'a core that is not there: nothing ran' test ! -e "$work/gone/stdout.txt"
check 'a core that is not there: valid JSON' valid_json "$work/gone/environment.json"
check '--check-only exits 0' exits 0 "${on[@]}" --out "$work/check" --check-only
if grep -q '^FAIL' "$work/check/checks.txt"; then
  check '--strict exits 3 where a check fails' exits 3 "${on[@]}" --strict --out "$work/strict" host -- touch "$work/ran"
  check '--strict ran nothing' test ! -e "$work/ran"
else
  printf 'SKIP --strict: every check passes on this machine\n'
fi

mkdir "$work/bin"
# shellcheck disable=SC2016
printf '#!/bin/sh\necho "$@"\nsed -n "s/^Cpus_allowed_list:[[:space:]]*/mask /p" /proc/self/status\n' >"$work/bin/a_bench"
# shellcheck disable=SC2016
printf '#!/bin/sh\nprintf "%%s\\n" \x27{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"a_bench"},"executable":"%s"}\x27\n' \
  "$work/bin/a_bench" >"$work/bin/cargo"
chmod +x "$work/bin"/*
check 'bench --bin: runs' exits 0 "${on[@]}" --out "$work/bench" --bin "$work/bin/a_bench" bench -- --iterations 5
check 'bench --bin: flags' grep -qx -- "--host-core $a --lane-cores $b --json $work/bench/result.json --iterations 5" "$work/bench/stdout.txt"
check 'bench --bin: mask of host and lanes' grep -qxE "mask ${a}[-,]$b" "$work/bench/stdout.txt"
PATH=$work/bin:$PATH check 'bench NAME: found through cargo' exits 0 "${on[@]}" --out "$work/cargo" bench a_bench
PATH=$work/bin:$PATH check 'bench NAME: unknown to cargo' refused 'named no binary' "${on[@]}" bench b_bench

perfect_machine "$work/perfect" "$a" "$b"
export RUN_ISOLATED_ROOT=$work/perfect
check 'a perfect machine: --strict runs' exits 0 "${on[@]}" --strict --out "$work/p1" host -- sleep 1.1
check 'a perfect machine: all checks passed' logged '^all checks passed$'
check 'a perfect machine: nothing n/a' test -z "$(grep '^n/a' "$work/p1/checks.txt")"
echo 1 >"$work/perfect/sys/devices/system/cpu/cpu$a/cpuidle/state0/latency"
echo powersave >"$work/perfect/sys/devices/system/cpu/cpu$b/cpufreq/scaling_governor"
echo "$a,$b" >"$work/perfect/sys/devices/system/cpu/cpu$a/topology/thread_siblings_list"
echo '(null)' >"$work/perfect/sys/devices/system/cpu/nohz_full"
echo "0-$b" >"$work/perfect/proc/irq/7/effective_affinity_list"
check 'a spoilt machine: --strict exits 3' exits 3 "${on[@]}" --strict --out "$work/p2" host -- true
check 'a spoilt machine: names what failed' logged '^4 checks failed: nohz_full, irq_affinity, smt, governor$'
check 'a spoilt machine: --accept' exits 0 "${on[@]}" --strict --accept smt,governor,nohz_full,irq_affinity --out "$work/p3" host -- true
check 'a spoilt machine: accepted ones are said' logged '^all checks passed \(accepted: nohz_full irq_affinity smt governor\)$'
rm -r "$work/perfect/sys" "$work/perfect/proc" && mkdir -p "$work/perfect/proc"
check 'an empty machine: nothing to read, no crash' exits 0 "${on[@]}" --out "$work/p4" host -- true
check 'an empty machine: n/a' logged '^n/a  online '
check 'an empty machine: valid JSON' valid_json "$work/p4/environment.json"

printf '%s passed, %s failed\n' "$passed" "$not_passed"
((not_passed == 0))
