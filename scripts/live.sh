#!/bin/sh
# Syncs a real tenant with the credentials in the environment and tells the
# counts alone. What was read names people, so it is removed again.
set -eu
connector=$1
case $connector in
baton-rudderstack) needs="BATON_RUDDERSTACK_SCIM_BASE_URL BATON_RUDDERSTACK_SCIM_TOKEN" ;;
baton-guru) needs="BATON_USER_EMAIL BATON_API_TOKEN" ;;
*) echo "live: there is no connector $connector" >&2 && exit 2 ;;
esac
for name in $needs; do
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
