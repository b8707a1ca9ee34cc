#!/bin/sh
# Builds the images of a release from the archives in dist/. Writes each image,
# for both processors, to dist/images/ as an OCI archive. Pushes nothing.
# Needs Docker with a buildx builder that can write OCI archives.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

rm -rf dist/images
mkdir dist/images
for archive in dist/*_linux_amd64.tar.gz dist/*_linux_amd64_lambda.tar.gz; do
	name=$(basename "$archive" .tar.gz) # baton-guru_1.2.3_linux_amd64_lambda
	connector=${name%%_*}
	version=${name#*_}
	version=${version%%_*}
	suffix=
	case $name in *_lambda) suffix=-lambda ;; esac

	context=$work/$connector$suffix
	for arch in amd64 arm64; do
		mkdir -p "$context/linux/$arch"
		tar -xzf "dist/${connector}_${version}_linux_$arch$(echo "$suffix" | tr - _).tar.gz" \
			-C "$context/linux/$arch" "$connector" THIRD_PARTY_LICENSES
	done
	mv "$context/linux/amd64/THIRD_PARTY_LICENSES" "$context"

	docker buildx build --file Dockerfile --target "released$suffix" \
		--platform linux/amd64,linux/arm64 --provenance=false \
		--build-arg "CONNECTOR=$connector" --build-arg "VERSION=$version" \
		--label "org.opencontainers.image.revision=$(git rev-parse HEAD)" \
		--label "org.opencontainers.image.created=$(git show -s --format=%cI HEAD)" \
		--output "type=oci,dest=dist/images/$connector$suffix.tar" "$context"
done
