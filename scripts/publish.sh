#!/bin/sh
# Signs dist/ and publishes it as the release of the tag GITHUB_REF_NAME. Only the
# release workflow runs this, in the one job that may publish. So this builds
# nothing and runs nothing from dist/. Needs cosign, docker, gh, git and skopeo,
# and GITHUB_TOKEN.
set -eu
cd "$(dirname "$0")/../dist"
tag=$GITHUB_REF_NAME
version=${tag#v}
registry=ghcr.io/conductorone
stable=true
case $version in *-*) stable=false ;; esac # a pre-release, as in 1.2.3-rc.1

# Check that each listed file is unchanged and of this version.
sha256sum --check --strict --quiet checksums.txt
files=$(cut -d ' ' -f 3 checksums.txt)
for file in $files; do
	case $file in
	*"_${version}_"*) ;;
	*) echo "publish: $file is not of version $version" >&2 && exit 1 ;;
	esac
done

cosign sign-blob --yes --bundle checksums.txt.sigstore.json checksums.txt

printf '%s' "$GITHUB_TOKEN" | docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin
: >digests.txt
for archive in images/*.tar; do
	image=$registry/$(basename "$archive" .tar)
	skopeo copy --all --preserve-digests --digestfile digest "oci-archive:$archive" "docker://$image:$version"
	digest=$(cat digest)
	cosign sign --yes "$image@$digest"
	if $stable; then
		skopeo copy --all --preserve-digests "docker://$image@$digest" "docker://$image:latest"
	fi
	echo "${digest#sha256:}  $image" >>digests.txt
done

prerelease=
$stable || prerelease=--prerelease
# shellcheck disable=SC2086 # names have no blanks; an empty flag must vanish
gh release create "$tag" --verify-tag --title "$tag" --notes-file CHANGELOG.md $prerelease \
	$files checksums.txt checksums.txt.sigstore.json

if ! $stable || [ -z "${HOMEBREW_TAP_TOKEN:-}" ]; then
	echo "publish: left the Homebrew tap unchanged (pre-release, or no HOMEBREW_TAP_TOKEN)"
	exit 0
fi
# Keep the token in the environment only, out of arguments and .git/config.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.https://github.com/.extraheader
GIT_CONFIG_VALUE_0="Authorization: Basic $(printf 'x-access-token:%s' "$HOMEBREW_TAP_TOKEN" | base64 -w 0)"
export GIT_CONFIG_VALUE_0
git clone --depth 1 https://github.com/conductorone/homebrew-baton tap
mkdir -p tap/Casks
cp homebrew/Casks/*.rb tap/Casks/
git -C tap add Casks
git -C tap -c user.name=baton-connectors -c user.email=noreply@github.com commit -m "baton-connectors $tag"
git -C tap push
