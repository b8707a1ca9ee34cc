#!/bin/sh
# test.sh RACE PACKAGE... runs the packages with `go test -json`, for gotestsum.
# RACE is -race or empty. Only packages with concurrent code use it: contract and
# process tests would be slower with it and find no more. pkg/rudderstack does not,
# because its model of changing lists takes seven times as long with it. The whole
# syncs run its code with the race detector.
set -u
race=$1
shift

raced='/pkg/(command|connector|guru|rest)$|/internal/simulator|/internal/wholesync$'
all=$(go list "$@") || exit 1

code=0
# shellcheck disable=SC2046,SC2086 # lists of packages
{
	go test -json -timeout 30m $race $(echo "$all" | grep -E "$raced") || code=1
	go test -json -timeout 30m $(echo "$all" | grep -vE "$raced") || code=1
}
exit $code
