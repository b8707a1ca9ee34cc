#!/bin/sh
# Runs each fuzz target of the repository for the given time, one by one: go test
# takes only one target.
set -eu
time=${1:-1m}
targets=$(grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | wc -l)
echo "$((targets)) fuzz targets, $time each"
test "$targets" -gt 0
for file in $(grep -rlE --include='*_test.go' '^func Fuzz' .); do
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/p' "$file"); do
		echo "$target in $(dirname "$file")"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")"
	done
done
