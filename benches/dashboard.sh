#!/usr/bin/env bash
# What do whole dashboards cost, side by side? Runs each in a tmux window of its own size, all at the same time and the
# same interval, and prints CPU (ms per second, children included) and resident memory from /proc/PID. Judges nothing.
#
#   benches/dashboard.sh [SECONDS [PROGRAM...]]      default: 20 netglance btop htop top btm glances
#
# PROCESSES=2000 in the environment has so many more sleep beside them.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
shift || true
programs=("$@")
((${#programs[@]})) || programs=(netglance btop htop top btm glances)
columns=200 lines=50

command -v tmux >/dev/null || { echo "dashboard.sh: tmux is not installed" >&2; exit 1; }
[[ " ${programs[*]} " != *" netglance "* ]] || cargo build -q --release
dir=$(mktemp -d)
tmux() { command tmux -L "netglance-bench-$$" -f /dev/null "$@"; }
sleepers=()
trap 'tmux kill-server 2>/dev/null || true; kill "${sleepers[@]}" 2>/dev/null || true; rm -rf "$dir"' EXIT
for ((i = 0; i < ${PROCESSES:-0}; i++)); do
    sleep infinity &
    sleepers+=($!)
done

# btop has its interval in its configuration only
mkdir -p "$dir/btop"
echo 'update_ms = 1000' >"$dir/btop/btop.conf"

command_of() {
    case $1 in
        netglance) echo "exec $PWD/target/release/netglance --interval 1s" ;;
        btop) echo "exec env XDG_CONFIG_HOME=$dir btop --utf-force" ;;
        htop) echo "exec env HTOPRC=/dev/null htop -d 10" ;;
        top) echo "exec top -d 1" ;;
        btm) echo "exec btm --rate 1000" ;;
        glances) echo "exec glances --time 1" ;;
        *) echo "exec $1" ;;
    esac
}

# clock ticks of a process and of the children it has waited for
ticks() { awk '{ sub(/^.*\) /, ""); print $12 + $13 + $14 + $15 }' "/proc/$1/stat"; }
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

declare -A pids first
for program in "${programs[@]}"; do
    if [[ $program != netglance ]] && ! command -v "$program" >/dev/null; then
        echo "$program: not installed"
        continue
    fi
    tmux new-session -d -s "$program" -x "$columns" -y "$lines" "$(command_of "$program")"
    pids[$program]=$(tmux list-panes -t "$program" -F '#{pane_pid}')
done

sleep 3 # what starting costs is not what running costs
for program in "${!pids[@]}"; do
    first[$program]=$(ticks "${pids[$program]}" 2>/dev/null || true)
done
sleep "$seconds"

hertz=$(getconf CLK_TCK)
echo "$(ls -d /proc/[0-9]* | wc -l) processes, ${columns}x$lines, 1 s interval, $seconds s"
printf '%-12s %14s %10s\n' program 'CPU ms/s' 'RSS KiB'
for program in "${programs[@]}"; do
    pid=${pids[$program]:-}
    [[ -n $pid ]] || continue
    if [[ -z ${first[$program]} || ! -r /proc/$pid/stat ]]; then
        printf '%-12s ended early\n' "$program"
        continue
    fi
    used=$(($(ticks "$pid") - first[$program]))
    awk -v name="$program" -v used="$used" -v hertz="$hertz" -v seconds="$seconds" -v rss="$(resident "$pid")" \
        'BEGIN { printf "%-12s %14.1f %10d\n", name, used * 1000 / hertz / seconds, rss }'
done
