# shellcheck shell=bash
# shellcheck disable=SC2154  # shared with run-isolated and its other parts
# Writing environment.json without a JSON tool.

json_string() { # json_string TEXT: quoted and escaped
  local s=$1 back=\\ quote='"'
  s=${s//"$back"/"$back$back"}
  s=${s//"$quote"/"$back$quote"}
  s=${s//$'\n'/"${back}n"}
  s=${s//$'\t'/"${back}t"}
  s=${s//[[:cntrl:]]/"${back}ufffd"}
  printf '"%s"' "$s"
}

json_strings() { # json_strings TEXT...: an array
  local item all=''
  for item in "$@"; do all+=", $(json_string "$item")"; done
  printf '[%s]' "${all#, }"
}

json_numbers() { local all=''; printf -v all '%s, ' "$@"; printf '[%s]' "${all%, }"; }

json_object() { # json_object KEY TEXT...: an object of strings
  local all=''
  while (($# > 1)); do
    all+=", $(json_string "$1"): $(json_string "$2")"
    shift 2
  done
  printf '{%s}' "${all#, }"
}

machine() {
  local file flaws=()
  for file in "$sys_cpu"/vulnerabilities/*; do
    [[ ! -r $file ]] || flaws+=("vulnerability ${file##*/}" "$(fact "$file")")
  done
  json_object name "$(uname -n)" kernel "$(uname -r)" version "$(uname -v)" architecture "$(uname -m)" \
    cpu "$(cpuinfo 'model name')" microcode "$(cpuinfo microcode)" online "$(fact "$sys_cpu/online")" \
    smt "$(fact "$sys_cpu/smt/control")" command_line "$(fact "$proc/cmdline")" \
    memory "$(sed -n 's/^MemTotal: *//p' "$proc/meminfo" 2>/dev/null || true)" memlock_kib "$(ulimit -l)" \
    governor "$(fact "$sys_cpu/cpu$host_core/cpufreq/scaling_governor")" \
    frequency_driver "$(fact "$sys_cpu/cpu$host_core/cpufreq/scaling_driver")" \
    idle_driver "$(fact "$sys_cpu/cpuidle/current_driver")" \
    commit "$(git -C "$here" describe --always --dirty 2>/dev/null || true)" ${flaws[@]+"${flaws[@]}"}
}

or_null() { printf '%s' "${1:-null}"; }

per_core() { # one object a chosen core: what happened there during the run
  local core role label count name own cpu all=''
  for core in "${cores[@]}"; do
    role=lane own=''
    [[ $core != "$host_core" ]] || role=host
    while read -r cpu label count name; do
      [[ $cpu != "$core" ]] || own+=", $(json_string "$label"): $count"
    done <"$scratch/interrupts"
    all+=", {\"core\": $core, \"role\": \"$role\", \"busy_ticks\": $(or_null "$(grown before after "$core" busy)")"
    all+=", \"steal_ticks\": $(or_null "$(grown before after "$core" steal)"), \"time_slices\": $(or_null "$(grown before after "$core" slices)"), \"interrupts\": {${own#, }}}"
  done
  printf '[%s]' "${all#, }"
}

write_environment() {
  local item all='' run=null
  for item in "${results[@]}"; do all+=$'\n    '"$item,"; done
  if [[ $ran == yes ]]; then
    run="{\"exit_code\": $status, \"seconds\": $(seconds_between before after), \"ticks_per_second\": $(getconf CLK_TCK), \"switches_whole_machine\": $((${at[after,ctxt]:-0} - ${at[before,ctxt]:-0})), \"cores\": $(per_core)}"
  fi
  cat <<JSON
{
  "started": "$started",
  "kind": "$kind",
  "name": $(json_string "$name"),
  "command": $(json_strings ${command_line[@]+"${command_line[@]}"}),
  "host_core": $host_core,
  "lane_cores": $(json_numbers "${lanes[@]}"),
  "strict": $([[ $strict == yes ]] && printf true || printf false),
  "read_from": $(json_string "${root:-/}"),
  "machine": $(machine),
  "checks": [${all%,}
  ],
  "failed": $(json_strings ${failed[@]+"${failed[@]}"}),
  "accepted": $(json_strings ${accepted[@]+"${accepted[@]}"}),
  "run": $run
}
JSON
}
