#!/bin/sh
# Prints the licence and notice files of everything that is linked into the
# released binaries, on whatever platform: most licences ask for that. Fails if
# a module has none.
set -eu

modules=$(
	for os in linux darwin windows; do
		GOOS=$os CGO_ENABLED=0 go list -deps -tags baton_lambda_support \
			-f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/... || exit 1
	done
)

print() {
	printf '%s\n%s\n\n' "================================================================================" "$1"
	shift
	cat "$@"
	echo
}

print "The Go standard library, $(go env GOVERSION)" "$(go env GOROOT)/LICENSE"
echo "$modules" | sort -u | while read -r path version dir; do
	files=$(find "$dir" -maxdepth 1 -type f \( -iname 'LICEN[CS]E*' -o -iname 'COPYING*' -o -iname 'NOTICE*' \) | sort)
	if [ -z "$files" ]; then
		echo "no licence in $path@$version" >&2
		exit 1
	fi
	# A path in the module cache holds no blanks.
	# shellcheck disable=SC2086
	print "$path $version" $files
done
