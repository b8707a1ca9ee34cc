#!/bin/sh
# Syncs two simulated vendors as a user would sync the real ones, and shows
# through ConductorOne's own command line what came of it. "make demo" builds
# what this needs. The c1z files stay in demo/; nothing is left running.
set -eu
cd "$(dirname "$0")/.."
bin=$(pwd)/bin
mkdir -p demo
cd demo
rm -f rudderstack.c1z guru.c1z

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

# run prints what a command says, indented, and fails if the command fails.
run() {
	code=0
	"$@" >"$work/said" 2>&1 || code=$?
	sed 's/^/    /' "$work/said"
	return "$code"
}

# clean runs a command without what this shell may have set for a real tenant.
clean() {
	env -i HOME="${HOME:-$work}" PATH="$PATH" TMPDIR="$work" "$@"
}

# look CAPTION COLUMNS ARGUMENT... prints some columns of a table that the
# baton command makes, without its colours.
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

# DEMO_FAULTS names faults of the simulators, with blanks between them, such as
# "rate-limit-seconds server-error,every=5"; "bin/simulators --list-faults"
# lists all.
set -f # a fault's path may have an asterisk
set --
for fault in ${DEMO_FAULTS:-}; do
	set -- "$@" --fault "$fault"
done
set +f
"$bin/simulators" --users 10 --groups 4 --members 3 --env-file "$work/env" "$@" >"$work/simulators" 2>&1 &
simulators=$!
tries=0
until [ -e "$work/env" ]; do
	kill -0 "$simulators" # fails if they have ended
	tries=$((tries + 1))
	[ "$tries" -lt 300 ]
	sleep 0.1
done
. "$work/env"
echo "RudderStack and Guru are simulated on this machine, with people who do not exist."

cat <<EOF

== RudderStack =================================================================

  \$ export BATON_RUDDERSTACK_SCIM_BASE_URL=$BATON_RUDDERSTACK_SCIM_BASE_URL
  \$ export BATON_RUDDERSTACK_SCIM_TOKEN=...
  \$ baton-rudderstack --file rudderstack.c1z --log-level error
EOF
run clean \
	BATON_RUDDERSTACK_SCIM_BASE_URL="$BATON_RUDDERSTACK_SCIM_BASE_URL" \
	BATON_RUDDERSTACK_SCIM_TOKEN="$BATON_RUDDERSTACK_SCIM_TOKEN" \
	"$bin/baton-rudderstack" --file rudderstack.c1z --log-level error
look "The users:" 1,2 resources -t user -f rudderstack.c1z
look "The groups:" 1,2 resources -t group -f rudderstack.c1z
look "Who is in which group:" 3,5 grants -f rudderstack.c1z

cat <<EOF

== Guru ========================================================================

  \$ export BATON_BASE_URL=$BATON_BASE_URL    # for the simulator only
  \$ export BATON_USER_EMAIL=$BATON_USER_EMAIL
  \$ export BATON_API_TOKEN=...
  \$ baton-guru --file guru.c1z --log-level error
EOF
run clean \
	BATON_BASE_URL="$BATON_BASE_URL" \
	BATON_USER_EMAIL="$BATON_USER_EMAIL" \
	BATON_API_TOKEN="$BATON_API_TOKEN" \
	"$bin/baton-guru" --file guru.c1z --log-level error
look "The users:" 1,2 resources -t user -f guru.c1z
look "The groups:" 1,2 resources -t group -f guru.c1z
look "Who is in which group:" 3,5 grants -f guru.c1z

cat <<'EOF'

== What next ===================================================================

  The results are demo/rudderstack.c1z and demo/guru.c1z. Try:

    bin/baton explorer -f demo/guru.c1z                  # browse it at http://localhost:8080
    bin/baton export csv -f demo/guru.c1z --out guru.csv  # with e-mail addresses and statuses
    bin/baton stats -f demo/guru.c1z

  For a real tenant set its own URL and credentials and leave BATON_BASE_URL out.
EOF
