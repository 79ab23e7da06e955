# shellcheck shell=bash
# shellcheck disable=SC2154  # shared with run-isolated and its other parts
# What happened on the chosen cores while the command ran.

run_checks_after() {
  local ms whole core other n label count name steal='' devices='' ticks='' slices='' near='' fast='' often=''
  ms=$(milliseconds before after)
  whole="$((${at[after,ctxt]:-0} - ${at[before,ctxt]:-0})) in the whole machine"
  interrupts_grown >"$scratch/interrupts"
  for core in "${cores[@]}"; do
    n=$(grown before after "$core" steal)
    if ((${n:-0} > 0)); then steal+=" $core=$n"; fi
    n=$(grown before after "$core" slices)
    slices+=${n:+ $core=$n}
    if ((${n:-0} * 1000 > 10 * ms)); then often=yes; fi
    for other in $(siblings "$core"); do
      n=$(grown before after "$other" busy)
      if ((${n:-0} * 200 > ms)); then near+=" $other"; fi
    done
  done
  while read -r core label count name; do
    case $label in
      LOC)
        ticks+=" $core=$count"
        if ((count * 1000 > 10 * ms)); then fast=yes; fi ;;
      [0-9]*) devices+=" $label($name)@$core=$count" ;;
    esac
  done <"$scratch/interrupts"

  if [[ -z ${at[after,$host_core,steal]-} ]]; then
    report steal n/a 'no /proc/stat'
  elif [[ -z $steal ]]; then
    report steal ok 'none on the chosen cores during the run'
  else
    report steal FAIL "ticks of 10 ms taken by the hypervisor (core=ticks):$steal" 'vCPUs pinned one to one on the physical machine'
  fi
  if [[ ! -s $scratch/interrupts.after ]]; then
    report device_irqs n/a 'no /proc/interrupts'
  elif [[ -z $devices ]]; then
    report device_irqs ok 'none on the chosen cores during the run'
  else
    report device_irqs FAIL "during the run (irq@core=count):$devices" 'see irq_affinity'
  fi

  if ((ms < 1000)); then
    report timer_ticks n/a "too short a run to judge (core=count):${ticks:- none}"
    report switches n/a "too short a run to judge; $whole"
    report siblings_run n/a 'too short a run to judge'
    return
  fi
  if [[ ! -s $scratch/interrupts.after ]]; then
    report timer_ticks n/a 'no /proc/interrupts'
  elif [[ -z $fast ]]; then
    report timer_ticks ok "at most 10 a second (core=count):${ticks:- none}"
  else
    report timer_ticks FAIL "more than 10 a second (core=count):$ticks" 'nohz_full and one runnable thread a core'
  fi
  if [[ -z $slices ]]; then
    report switches n/a "this kernel has no count by core; $whole"
  elif [[ -z $often ]]; then
    report switches ok "at most 10 a second (core=slices):$slices"
  else
    report switches FAIL "more than 10 a second (core=slices):$slices" 'isolated cores, one busy thread on each'
  fi
  if [[ -z $near ]]; then
    report siblings_run ok 'no sibling was busy during the run'
  else
    report siblings_run FAIL "busy for more than 5 % of the run:$near" 'see smt'
  fi
}

latency_reports() {
  local files=("$out"/latency/*)
  if [[ -e ${files[0]} ]]; then
    printf 'latency reports: %s files\n' "${#files[@]}"
  else
    printf 'latency reports: none (the library writes them when the host calls signal_destroy)\n'
  fi
}
