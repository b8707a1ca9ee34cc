#!/bin/sh
# Syncs two simulated vendors like real ones, and shows the results with
# ConductorOne's baton command. "make demo" builds what this needs. The c1z
# files stay in demo/; all processes end.
set -eu
cd "$(dirname "$0")/.."
bin=$(pwd)/bin
mkdir -p demo
cd demo
rm -f rudderstack.c1z guru.c1z changes.csv

work=$(mktemp -d)
simulators=
finish() {
	code=$?
	trap - EXIT
	trap '' INT TERM
	if [ -n "$simulators" ]; then
		kill "$simulators" 2>/dev/null || true
		wait "$simulators" 2>/dev/null || true
	fi
	if [ "$code" -ne 0 ]; then
		echo "The demo failed (exit code $code). The simulators said:" >&2
		cat "$work/simulators" >&2
	fi
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run indents a command's output, and fails if the command fails.
run() {
	code=0
	"$@" >"$work/said" 2>&1 || code=$?
	sed 's/^/    /' "$work/said"
	return "$code"
}

# clean runs a command without this shell's variables: they may be for a real
# tenant.
clean() {
	env -i HOME="${HOME:-$work}" PATH="$PATH" TMPDIR="$work" "$@"
}

# look CAPTION COLUMNS ARGUMENT... runs the baton command and prints some columns
# of its table, without colours.
look() {
	caption=$1
	columns=$2
	shift 2
	printf '\n  %s\n  $ baton %s | cut -d "|" -f %s\n' "$caption" "$*" "$columns"
	code=0
	"$bin/baton" "$@" >"$work/said" || code=$?
	escape=$(printf '\033')
	sed "s/$escape\[[0-9;]*m//g; /^ *\$/d" "$work/said" | cut -d '|' -f "$columns" | sed 's/^ */    /; s/ *$//'
	return "$code"
}

# DEMO_FAULTS turns on faults of the simulators, separated by spaces, such as
# "rate-limit-seconds server-error,every=5". "bin/simulators --list-faults" lists
# them.
set -f # a fault's path may contain an asterisk
set --
for fault in ${DEMO_FAULTS:-}; do
	set -- "$@" --fault "$fault"
done
set +f
# start starts both simulators, with more faults or a day later.
start() {
	"$bin/simulators" --story --env-file "$work/env" "$@" >"$work/simulators" 2>&1 &
	simulators=$!
	tries=0
	until [ -e "$work/env" ]; do
		kill -0 "$simulators" # fails if they have exited
		tries=$((tries + 1))
		[ "$tries" -lt 300 ]
		sleep 0.1
	done
	. "$work/env"
}

# stop stops both simulators.
stop() {
	kill "$simulators"
	wait "$simulators"
	simulators=
	rm "$work/env"
}

# show prints a command line and runs it, with the vendors' settings.
show() {
	printf '\n  $ %s\n' "$*"
	tool=$1
	shift
	run clean \
		BATON_RUDDERSTACK_SCIM_BASE_URL="$BATON_RUDDERSTACK_SCIM_BASE_URL" \
		BATON_RUDDERSTACK_SCIM_TOKEN="$BATON_RUDDERSTACK_SCIM_TOKEN" \
		BATON_BASE_URL="$BATON_BASE_URL" BATON_USER_EMAIL="$BATON_USER_EMAIL" BATON_API_TOKEN="$BATON_API_TOKEN" \
		"$bin/$tool" "$@"
}

start "$@"
echo "This demo simulates RudderStack and Guru on this machine. The people are invented."

cat <<EOF

== RudderStack =================================================================

  \$ export BATON_RUDDERSTACK_SCIM_BASE_URL=$BATON_RUDDERSTACK_SCIM_BASE_URL
  \$ export BATON_RUDDERSTACK_SCIM_TOKEN=...
EOF
show baton-rudderstack --file rudderstack.c1z --log-level error
look "Who is in which group. Data Engineering is itself a member of Analytics:" 3,5 grants -f rudderstack.c1z

cat <<EOF

== Guru ========================================================================

  \$ export BATON_BASE_URL=$BATON_BASE_URL    # for the simulator only
  \$ export BATON_USER_EMAIL=$BATON_USER_EMAIL
  \$ export BATON_API_TOKEN=...
EOF
show baton-guru check --log-level error
show baton-guru --file guru.c1z --log-level error
look "The users, by e-mail address:" 1,2 resources -t user -f guru.c1z

stop
start --later "$@"
cat <<'EOF'

== Guru, a day later ===========================================================

  One person has left, one was disabled, and one has moved to another group.
EOF
show baton-guru --file guru.c1z --changes changes.csv --log-level error
printf '\n  Who gained and lost access:\n  $ cut -d , -f 1,2,4,6 changes.csv\n'
cut -d , -f 1,2,4,6 changes.csv | sed 's/^/    /'

cat <<'EOF'

== What next ===================================================================

  The results are in demo/. Try:

    bin/baton explorer -f demo/rudderstack.c1z    # browse it at http://localhost:8080
    bin/baton export csv -f demo/guru.c1z --out guru.csv

  For a real tenant, set its credentials (for RudderStack also its URL) but not BATON_BASE_URL.
  Start with "baton-guru check" or "baton-rudderstack check".
EOF
