#!/bin/sh
# Writes what `go test -json` says of the packages named after the first
# argument, for gotestsum. The first is -race or empty: it goes to the packages
# in which goroutines meet. Contract tests and tests of processes are slower
# under it and show no more.
set -u
race=$1
shift

raced='/pkg/|/internal/simulator|/internal/wholesync$'
all=$(go list "$@") || exit 1

code=0
# shellcheck disable=SC2086 # lists of packages
{
	go test -json -timeout 30m $race $(echo "$all" | grep -E "$raced") || code=1
	go test -json -timeout 30m $(echo "$all" | grep -vE "$raced") || code=1
}
exit $code
