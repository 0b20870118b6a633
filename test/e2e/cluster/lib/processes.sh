# Long-running processes of the cluster; sourced, not run.
# A pid file holds a process id and when that process was born, so that a recycled id is never taken for ours.
# shellcheck shell=bash disable=SC2154

# When a process was born; nothing for a zombie, which may wait long for a parent to reap it.
born() { awk '$3 != "Z" {print $22}' "/proc/$1/stat" 2>/dev/null || true; }

# process_id NAME: the id of the running process of that name, or failure.
process_id() {
	local id birth
	[[ -s $run/$1.pid ]] && read -r id birth <"$run/$1.pid" && [[ -n $birth && $(born "$id") == "$birth" ]] && echo "$id"
}

# launch NAME COMMAND...: starts the command in the background unless it runs already.
launch() {
	local name=$1
	shift
	process_id "$name" >/dev/null && return
	setsid "$@" </dev/null >>"$state/log/$name.log" 2>&1 &
	echo "$! $(born $!)" >"$run/$name.pid"
	disown
}

# halt NAME [SIGNAL]: ends the process and waits for it, at most 10 seconds.
halt() {
	local id
	if id=$(process_id "$1"); then
		kill -"${2:-TERM}" "$id"
		for _ in {1..100}; do
			process_id "$1" >/dev/null || break
			sleep 0.1
		done
		! process_id "$1" >/dev/null || kill -KILL "$id"
	fi
	rm -f "$run/$1.pid"
}
