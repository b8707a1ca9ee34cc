#!/bin/sh
# test.sh RACE PACKAGE... runs the packages with `go test -json`, for gotestsum.
# RACE is -race or empty. Only packages with concurrent code use it: contract and
# process tests would be slower with it and find no more. pkg/rudderstack does not,
# because its model of changing lists takes seven times as long with it. The whole
# syncs run its code with the race detector.
#
# Both groups run at once, because process tests mostly wait. The second prints when
# it ends: two writers could mix their lines.
set -u
race=$1
shift

raced='/pkg/(command|connector|guru|rest)$|/internal/simulator|/internal/wholesync$'
all=$(go list "$@") || exit 1
others=$(mktemp) || exit 1
trap 'rm -f "$others"' EXIT
trap 'exit 1' HUP INT TERM

code=0
# shellcheck disable=SC2046,SC2086 # lists of packages
{
	go test -json -timeout 30m -parallel 4 $(echo "$all" | grep -vE "$raced") >"$others" &
	go test -json -timeout 30m $race $(echo "$all" | grep -E "$raced") || code=1
	wait $! || code=1
}
cat "$others"
exit $code
