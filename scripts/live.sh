#!/bin/sh
# Syncs a real tenant with the credentials in the environment and prints only
# counts. The c1z names people, so this removes it.
set -eu
connector=$1
if [ ! -d "cmd/$connector" ]; then
	echo "live: there is no connector $connector" >&2
	exit 2
fi
# The connector's settings, without C1's credentials.
for name in $(sed -n '/^BATON_CLIENT_/d; s/^\(BATON_[A-Z0-9_]*\)=.*/\1/p' "deploy/$connector.env.example"); do
	if [ -z "$(printenv "$name" || true)" ]; then
		echo "live: $connector was NOT run: $name is not set"
		exit 0
	fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"bin/$connector" --file "$work/sync.c1z"
bin/baton stats -f "$work/sync.c1z"
