#!/bin/sh
# Prints the licence and notice files of all modules that the released binaries
# link, on any platform. Most licences ask for that. A package may contain code by
# other authors, so this searches each linked package's directory and those above
# it, up to the top of the module. Fails if a module has no licence.
set -eu
LC_ALL=C
export LC_ALL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for os in linux darwin windows; do
	for arch in amd64 arm64; do
		GOOS=$os GOARCH=$arch CGO_ENABLED=0 go list -deps -tags baton_lambda_support \
			-f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{"\t"}}{{.Dir}}{{"\t"}}{{$.Dir}}{{end}}{{end}}' ./cmd/...
	done
done >"$work/packages"

# Each directory once, with its module and the module's directory.
awk -F '\t' '
	NF < 3 { next }
	{
		for (dir = $3; !(dir in seen); sub("/[^/]*$", "", dir)) {
			seen[dir] = 1
			print dir "\t" $1 "\t" $2
			if (dir == $2) next
		}
	}' "$work/packages" >"$work/dirs"

# Leave out source files with such names.
cut -f 1 "$work/dirs" | sed 's/.*/"&"/' | xargs sh -c 'find "$@" -maxdepth 1 -type f \
	\( -iname "*LICEN[CS]E*" -o -iname "COPYING*" -o -iname "COPYRIGHT*" -o -iname "*NOTICE*" \) \
	! -name "*.go" ! -name "*.sh"' find >"$work/files"

awk -F '\t' '
	NR == FNR { module[$1] = $2; root[$1] = $3; lacks[$2] = 1; next }
	{
		dir = $0
		sub("/[^/]*$", "", dir)
		delete lacks[module[dir]]
		print module[dir] "\t" substr($0, length(root[dir]) + 2) "\t" $0
	}
	END {
		for (one in lacks) {
			print "no licence in " one | "cat >&2"
			failed = 1
		}
		exit failed
	}' "$work/dirs" "$work/files" >"$work/named"

print() {
	printf '%s\n%s\n\n' "================================================================================" "$1"
	cat "$2"
	echo
}

print "The Go standard library, $(go env GOVERSION): LICENSE" "$(go env GOROOT)/LICENSE"
tab=$(printf '\t')
sort "$work/named" | while IFS=$tab read -r module name file; do
	print "$module: $name" "$file"
done
