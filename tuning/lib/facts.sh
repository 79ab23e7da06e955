# shellcheck shell=bash
# shellcheck disable=SC2154  # shared with run-isolated and its other parts
# Reading what the kernel says. A file that is not there reads as nothing.

# The self-test points this at a made-up machine; it is empty otherwise.
root=${RUN_ISOLATED_ROOT-}
proc=$root/proc
sys=$root/sys
sys_cpu=$sys/devices/system/cpu

declare -A at # facts by moment: at[before,3,steal], at[after,ctxt], ...

fact() { # fact FILE: its first line, or nothing
  local line=''
  if [[ -r $1 ]]; then IFS= read -r line 2>/dev/null <"$1" || true; fi
  printf '%s' "$line"
}

has() { [[ " $1 " == *" $2 "* ]]; } # has "1 2 3" 2

expand() { # expand 0-2,5: prints 0 1 2 5. What is no core list, such as (null), is an empty one.
  local part core first last used group
  for part in ${1//,/ }; do
    [[ $part =~ ^([0-9]+)(-([0-9]+)(:([0-9]+)/([0-9]+))?)?$ ]] || continue
    first=$((10#${BASH_REMATCH[1]})) last=$((10#${BASH_REMATCH[3]:-${BASH_REMATCH[1]}}))
    used=${BASH_REMATCH[5]:-1} group=${BASH_REMATCH[6]:-1}
    ((group > 0)) || continue
    for ((core = first; core <= last; core++)); do
      if (((core - first) % group < used)); then printf '%s ' "$core"; fi
    done
  done
}

missing_from() { # missing_from "LIST": the chosen cores that are not in it
  local core none=''
  for core in "${cores[@]}"; do has "$1" "$core" || none+=" $core"; done
  printf '%s' "${none# }"
}

boot_parameter() { # boot_parameter NAME: its last value on the kernel command line
  local word words value=''
  read -r -a words <<<"$(fact "$proc/cmdline")"
  for word in ${words[@]+"${words[@]}"}; do [[ $word == "$1="* ]] && value=${word#*=}; done
  printf '%s' "$value"
}

cpuinfo() { # cpuinfo "model name": of the first CPU
  local key value
  [[ -r $proc/cpuinfo ]] || return 0
  while IFS=: read -r key value; do
    key=${key%"${key##*[![:space:]]}"}
    if [[ $key == "$1" ]]; then printf '%s' "${value# }"; return 0; fi
  done <"$proc/cpuinfo"
}

siblings() { # siblings CORE: the other hardware threads of its physical core
  local other
  for other in $(expand "$(fact "$sys_cpu/cpu$1/topology/thread_siblings_list")"); do
    [[ $other == "$1" ]] || printf '%s ' "$other"
  done
}

step_aside() { # moves this script off the given cores, where any other is left
  local core rest=''
  for core in $(expand "$(sed -n 's/^Cpus_allowed_list:\s*//p' /proc/self/status)"); do
    has "$*" "$core" || rest+=,$core
  done
  [[ -z $rest ]] || taskset -pc "${rest#,}" $$ >/dev/null 2>&1 || true
}

snapshot() { # snapshot MOMENT: times, steal, interrupts and switches up to now
  local name user nice system irq softirq steal rest
  at[$1,ns]=$(date +%s%N)
  [[ ! -r $proc/stat ]] || while read -r name user nice system _ _ irq softirq steal rest; do
    case $name in
      cpu[0-9]*)
        at[$1,${name#cpu},busy]=$((user + nice + system + irq + softirq))
        at[$1,${name#cpu},steal]=${steal:-0} ;;
      ctxt) at[$1,ctxt]=$user ;;
    esac
  done <"$proc/stat"
  cat "$proc/interrupts" >"$scratch/interrupts.$1" 2>/dev/null || true
  if [[ -r $proc/schedstat ]]; then
    # The ninth number counts the time slices that tasks began on that CPU.
    while read -r name _ _ _ _ _ _ _ _ rest; do
      [[ $name != cpu[0-9]* ]] || at[$1,${name#cpu},slices]=${rest%% *}
    done <"$proc/schedstat"
  fi
}

grown() { # grown FROM TO CORE FACT: by how much; nothing if it was not to be read
  local from=${at[$1,$3,$4]-} to=${at[$2,$3,$4]-}
  [[ -z $from || -z $to ]] || printf '%s' $((to - from))
}

milliseconds() { printf '%s' $(((${at[$2,ns]} - ${at[$1,ns]}) / 1000000)); }

seconds_between() {
  local ms
  ms=$(milliseconds "$1" "$2")
  printf '%d.%03d' $((ms / 1000)) $((ms % 1000))
}

interrupts_grown() { # prints "CORE LABEL COUNT NAME" for each interrupt that fired on a chosen core
  awk -v cores="${cores[*]}" '
    BEGIN { split(cores, list, " "); for (i in list) chosen["CPU" list[i]] = list[i] }
    FNR == 1 { files++; columns = NF; for (i = 1; i <= NF; i++) cpu[i] = $i; next }
    {
      label = $1; sub(/:$/, "", label); name = $NF
      for (i = 1; i <= columns && i < NF + 1; i++) {
        if (!(cpu[i] in chosen) || $(i + 1) !~ /^[0-9]+$/) continue
        key = label SUBSEP cpu[i]
        if (files == 1) before[key] = $(i + 1)
        else if ($(i + 1) > before[key] + 0) print chosen[cpu[i]], label, $(i + 1) - before[key], name
      }
    }' "$scratch/interrupts.before" "$scratch/interrupts.after"
}
