# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # shared with run-isolated and its other parts
# The checks. Each says ok, FAIL or n/a once, with what it saw and what it wants.

CHECK_NAMES=' online distinct pinnable isolated nohz_full rcu_nocbs irq_affinity smt governor boost cstate clocksource tsc numa l3 runnable busy thp swap rt_throttle watchdog load bare_metal steal device_irqs timer_ticks switches siblings_run '
failed=() accepted=() results=() usable=yes

report() { # report NAME ok|FAIL|n/a FACT [WANTS]
  local line wants=
  if [[ $2 == FAIL ]]; then
    wants=${4-}
    if has "$accept" "$1"; then accepted+=("$1"); else failed+=("$1"); fi
  fi
  printf -v line '%-4s %-12s %s' "$2" "$1" "$3${wants:+; wants: $wants}"
  if [[ $2 == FAIL ]] && has "$accept" "$1"; then line+=' (accepted)'; fi
  printf '%s\n' "$line"
  printf '%s\n' "$line" >>"$out/checks.txt"
  results+=("$(json_object name "$1" result "$2" fact "$3" wants "$wants")")
}

summary() {
  local all
  if ((${#failed[@]})); then
    printf -v all '%s, ' "${failed[@]}"
    printf '%s checks failed: %s' "${#failed[@]}" "${all%, }"
  else
    printf 'all checks passed'
  fi
  if ((${#accepted[@]})); then printf ' (accepted: %s)' "${accepted[*]}"; fi
  printf '\n'
}

in_core_list() { # in_core_list NAME FILE_LIST WANTS: every chosen core must be in the list
  local none
  none=$(missing_from "$(expand "$2")")
  if [[ -z $none ]]; then
    report "$1" ok "all chosen cores are in $2"
  else
    report "$1" FAIL "not: $none; the list is '${2}'" "$3"
  fi
}

same_everywhere() { # same_everywhere NAME "CORE=VALUE ..." WHAT WANTS
  local pair first='' value
  for pair in $2; do
    value=${pair#*=}
    [[ -n $value ]] || { report "$1" n/a "the kernel does not say"; return; }
    [[ -z $first || $first == "$value" ]] || { report "$1" FAIL "$3 differs: $2" "$4"; return; }
    first=$value
  done
  report "$1" ok "$3 $first for all chosen cores"
}

check_cores() {
  local core online none bad=
  online=$(fact "$sys_cpu/online")
  none=$(missing_from "$(expand "$online")")
  if [[ -z $online ]]; then
    report online n/a 'no list of online CPUs'
  elif [[ -z $none ]]; then
    report online ok "online CPUs are $online"
  else
    usable=no
    report online FAIL "not online: $none" "cores out of $online"
  fi

  if ((${#cores[@]} == 1 + ${#lanes[@]})); then
    report distinct ok 'every thread has a core of its own'
  else
    report distinct FAIL "host $host_core, lanes ${lanes[*]}: a core is named twice" 'a core for the host and one for each lane'
  fi

  for core in "${cores[@]}"; do taskset -c "$core" true 2>/dev/null || bad+=" $core"; done
  if [[ -z $bad ]]; then
    report pinnable ok 'a process may be pinned to each'
  else
    usable=no
    report pinnable FAIL "taskset was refused on$bad" 'these cores in the cpuset that this shell runs in (cgroup, container)'
  fi
}

check_isolation() {
  local csv partition list irq core routed=()
  csv=$(IFS=,; printf '%s' "${cores[*]}")
  partition=$(fact "$sys/fs/cgroup/cpuset.cpus.isolated")
  list=$(fact "$sys_cpu/isolated")
  if [[ ! -e $sys_cpu/isolated && -z $partition ]]; then
    report isolated n/a 'no list of isolated CPUs'
  else
    in_core_list isolated "$list${partition:+${list:+,}$partition}" "isolcpus=managed_irq,domain,$csv on the kernel command line"
  fi

  list=$(fact "$sys_cpu/nohz_full")
  if [[ -e $sys_cpu/nohz_full ]]; then
    in_core_list nohz_full "$list" "nohz_full=$csv on the kernel command line"
  else
    report nohz_full n/a 'this kernel has no such list (built without NO_HZ_FULL): the tick stays'
  fi

  # nohz_full takes RCU callbacks away as well.
  partition=$(boot_parameter rcu_nocbs)
  if [[ $partition == all ]]; then partition=$(fact "$sys_cpu/online"); fi
  if [[ -r $proc/cmdline ]]; then
    in_core_list rcu_nocbs "$partition${list:+${partition:+,}$list}" "rcu_nocbs=$csv (or nohz_full) on the kernel command line"
  else
    report rcu_nocbs n/a 'no kernel command line to read'
  fi

  [[ -d $proc/irq ]] || { report irq_affinity n/a 'no /proc/irq'; return; }
  for irq in "$proc"/irq/[0-9]*; do
    # An interrupt without a handler has no folder in here and does not fire.
    compgen -G "$irq/*/" >/dev/null || continue
    list=$(fact "$irq/effective_affinity_list")
    list=$(expand "${list:-$(fact "$irq/smp_affinity_list")}")
    for core in "${cores[@]}"; do
      if has "$list" "$core"; then routed+=("${irq##*/}@$core"); fi
    done
  done
  if ((${#routed[@]} == 0)); then
    report irq_affinity ok 'no interrupt is routed to the chosen cores'
  else
    report irq_affinity FAIL "${#routed[@]} routed here (irq@core): ${routed[*]:0:8}$( ((${#routed[@]} > 8)) && printf ' ...')" \
      'irqaffinity= and isolcpus=managed_irq, or other cores in /proc/irq/N/smp_affinity_list; irqbalance kept off'
  fi
}

runnable_here() { # prints name(thread)@core for each runnable thread on a chosen core
  local file line fields name
  for file in "$proc"/[0-9]*/task/[0-9]*/stat; do
    # Threads come and go. No subshell here: a machine may have ten thousand of them.
    { IFS= read -r line <"$file"; } 2>/dev/null || continue
    read -r -a fields <<<"${line##*) }"
    [[ ${fields[0]-} == R && ${line%% *} != "$$" && ${line%% *} != "$BASHPID" ]] || continue
    has "${cores[*]}" "${fields[36]-}" || continue
    name=${line#*(} name=${name%)*}
    printf '%s(%s)@%s ' "${name// /_}" "${line%% *}" "${fields[36]}"
  done
}

check_activity() { # what else runs on the chosen cores, and beside them
  local first core other running='' loud='' pair='' near=''
  first=$(runnable_here)
  snapshot sample1
  sleep 0.25
  snapshot sample2
  # Seen once is a kernel thread passing by; seen twice is company.
  for other in $(runnable_here); do
    if has "$first" "$other"; then running+=" $other"; fi
  done
  for core in "${cores[@]}"; do
    # One tick of 10 ms may be anything.
    if (($(ticks_busy "$core") > 1)); then loud+=" $core"; fi
    for other in $(siblings "$core"); do
      if has "${cores[*]}" "$other"; then
        pair+=" $core+$other"
      elif (($(ticks_busy "$other") > 1)); then
        near+=" $other"
      fi
    done
  done

  if [[ ! -e $sys_cpu/cpu$host_core/topology/thread_siblings_list ]]; then
    report smt n/a 'the kernel does not say which threads share a core'
  elif [[ -n $pair ]]; then
    report smt FAIL "chosen cores share a physical core:$pair" 'one chosen core on each physical core'
  elif [[ -n $near ]]; then
    report smt FAIL "busy beside a chosen core:$near" 'the siblings idle or offline, or SMT off'
  else
    report smt ok "no two share a physical core; siblings: $(for core in "${cores[@]}"; do siblings "$core"; done | grep . || printf none)"
  fi

  if [[ -z $running ]]; then
    report runnable ok 'no other thread is runnable there'
  else
    report runnable FAIL "runnable:$running" 'nothing else on the chosen cores'
  fi
  if [[ -z ${at[sample2,$host_core,busy]-} ]]; then
    report busy n/a 'no /proc/stat'
  elif [[ -z $loud ]]; then
    report busy ok 'idle in a sample of 0.25 s'
  else
    report busy FAIL "busy in a sample of 0.25 s:$loud" 'idle before the run'
  fi
}

ticks_busy() { local t; t=$(grown sample1 sample2 "$1" busy); printf '%s' "${t:-0}"; }

check_power() {
  local core name value seen='' bad='' state deepest='' latency
  for core in "${cores[@]}"; do
    value=$(fact "$sys_cpu/cpu$core/cpufreq/scaling_governor")
    seen+=${value:+ $core=$value}
    [[ -z $value || $value == performance ]] || bad=yes
  done
  if [[ -z $seen ]]; then
    report governor n/a 'no frequency scaling to be seen (a virtual machine, or left to the firmware)'
  elif [[ -n $bad ]]; then
    report governor FAIL "governors:$seen" 'performance (cpupower frequency-set -g performance)'
  else
    report governor ok 'performance'
  fi

  if value=$(fact "$sys_cpu/cpufreq/boost") && [[ -n $value ]]; then
    report boost ok "boost is $( ((value)) && printf on || printf off): compare only runs with the same setting"
  elif value=$(fact "$sys_cpu/intel_pstate/no_turbo") && [[ -n $value ]]; then
    report boost ok "turbo is $( ((value)) && printf off || printf on): compare only runs with the same setting"
  else
    report boost n/a 'the kernel does not say'
  fi

  seen='' bad=''
  for core in "${cores[@]}"; do
    deepest=-1
    for state in "$sys_cpu/cpu$core"/cpuidle/state*; do
      [[ -e $state/latency && $(fact "$state/disable") == 0 ]] || continue
      latency=$(fact "$state/latency")
      if ((latency > deepest)); then deepest=$latency name=$(fact "$state/name"); fi
    done
    ((deepest >= 0)) || continue
    seen+=" $core=${name// /-}:${deepest}us"
    ((deepest <= 2)) || bad=yes
  done
  if [[ $(boot_parameter idle) == poll ]]; then
    report cstate ok 'idle=poll: no idle states'
  elif [[ -z $seen ]]; then
    report cstate n/a 'no idle states to be seen'
  elif [[ -n $bad ]]; then
    report cstate FAIL "deepest enabled, with its exit time:$seen" 'nothing deeper than 2 us (C1): cpupower idle-set -D 3, or the boot parameters in README.md'
  else
    report cstate ok "deepest enabled, with its exit time:$seen"
  fi
}

check_clock() {
  local value flags none=''
  value=$(fact "$sys/devices/system/clocksource/clocksource0/current_clocksource")
  case $value in
    '') report clocksource n/a 'the kernel does not say' ;;
    tsc) report clocksource ok tsc ;;
    *) report clocksource FAIL "$value" 'tsc (dmesg says why it was given up)' ;;
  esac
  flags=$(cpuinfo flags)
  if [[ -z $flags ]]; then
    report tsc n/a 'not an x86 CPU'; return
  fi
  for value in constant_tsc nonstop_tsc; do has "$flags" "$value" || none+=" $value"; done
  if [[ -z $none ]]; then
    report tsc ok 'constant_tsc nonstop_tsc'
  else
    report tsc FAIL "CPU flags lack$none" 'a CPU (or a VM that passes them on) with both flags'
  fi
}

check_topology() {
  local core cache node nodes='' thirds='' third
  for core in "${cores[@]}"; do
    node=$(compgen -G "$sys_cpu/cpu$core/node[0-9]*" | head -n 1 || true)
    nodes+=" $core=${node##*node}"
    third=''
    for cache in "$sys_cpu/cpu$core"/cache/index*; do
      [[ $(fact "$cache/level") != 3 ]] || third=$(fact "$cache/shared_cpu_list")
    done
    thirds+=" $core=$third"
  done
  same_everywhere numa "$nodes" 'memory node' 'cores of one memory node (lscpu -e)'
  same_everywhere l3 "$thirds" 'L3 shared by CPUs' 'cores under one L3 cache (lscpu -e)'
}

check_kernel() {
  local core value policy soft mask watched load rest left bad='' swaps words
  value=$(fact "$sys/kernel/mm/transparent_hugepage/enabled")
  case $value in
    '') report thp n/a 'the kernel does not say' ;;
    *'[always]'*) report thp FAIL "$value" 'madvise or never' ;;
    *) report thp ok "$value" ;;
  esac

  value=$(fact "$proc/sys/vm/swappiness")
  if [[ ! -r $proc/swaps ]]; then
    report swap n/a 'the kernel does not say'
  else
    swaps=$(($(wc -l <"$proc/swaps") - 1))
    if ((swaps > 0)); then report swap FAIL "$swaps swap areas in use, swappiness $value" 'swapoff -a'; else report swap ok "no swap area (swappiness $value)"; fi
  fi

  value=$(fact "$proc/sys/kernel/sched_rt_runtime_us")
  rest=$(</proc/self/stat)
  read -r -a words <<<"${rest##*) }"
  policy=${words[38]-0}
  if [[ -z $value ]]; then
    report rt_throttle n/a 'the kernel does not say'
  elif [[ $value != -1 && $policy == [12] ]]; then
    report rt_throttle FAIL "sched_rt_runtime_us $value, and this runs under a real-time policy" '-1, or an ordinary policy for threads that never sleep'
  else
    report rt_throttle ok "sched_rt_runtime_us $value; scheduling policy $policy"
  fi

  value=$(fact "$proc/sys/kernel/nmi_watchdog") soft=$(fact "$proc/sys/kernel/soft_watchdog") mask=$(fact "$proc/sys/kernel/watchdog_cpumask")
  watched=$(expand "$mask")
  for core in "${cores[@]}"; do ! has "$watched" "$core" || bad=yes; done
  if [[ -z $value$soft ]]; then
    report watchdog n/a 'the kernel does not say'
  elif [[ $value == 1 || $soft == 1 ]] && [[ -n $bad ]]; then
    report watchdog FAIL "nmi_watchdog ${value:-?}, soft_watchdog ${soft:-?}, watching CPUs $mask" 'both 0, or kernel.watchdog_cpumask without the chosen cores'
  else
    report watchdog ok "nmi_watchdog ${value:-?}, soft_watchdog ${soft:-?}, watching CPUs ${mask:-?}"
  fi

  read -r load rest <<<"$(fact "$proc/loadavg")"
  read -r -a words <<<"$(expand "$(fact "$sys_cpu/online")")"
  left=$((${#words[@]} - ${#cores[@]}))
  if [[ -z $load ]]; then
    report load n/a 'the kernel does not say'
  elif awk -v l="$load" -v m="$left" 'BEGIN { exit !(l <= (m > 0.5 ? m : 0.5)) }'; then
    report load ok "1-minute load $load, $left CPUs beside the chosen ones"
  else
    report load FAIL "1-minute load $load, $left CPUs beside the chosen ones" 'a quiet machine (a build just done still counts: wait a minute)'
  fi

  value=$(cpuinfo flags)
  if [[ -z $value ]]; then
    report bare_metal n/a 'not an x86 CPU'
  elif has "$value" hypervisor; then
    report bare_metal FAIL "a virtual machine ($(cpuinfo 'model name'))" 'bare metal, or vCPUs pinned one to one (then --accept bare_metal and judge by steal)'
  else
    report bare_metal ok 'no hypervisor flag'
  fi
}

run_checks() {
  check_cores
  check_isolation
  check_activity
  check_power
  check_clock
  check_topology
  check_kernel
}
