# Builds the image of one connector, or its image for AWS Lambda:
#
#   docker build --build-arg CONNECTOR=baton-guru -t baton-guru .
#   docker build --build-arg CONNECTOR=baton-guru --target lambda -t baton-guru-lambda .
#
# An image holds one static binary, its licences, CA certificates and two
# directories that every user can write to. It has no shell, libc or package
# manager. It runs on a read-only root file system.
#
# Without VERSION, the binary takes its version from git. The image's label
# cannot, so "make image" and the release pass VERSION.
#
# A release copies its published binaries into the image (--target released and
# released-lambda), so the image runs the file that checksums.txt lists.
ARG CONNECTOR
ARG VERSION

# Dependabot updates this line. The tag is go.mod's toolchain. The CA
# certificates of all images come from here, so the digest pins them too.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS base
WORKDIR /src
# Mode 1777 lets any user write, whichever one the container runs as. The SDK's
# two service processes talk over localhost. An empty image has no /etc/hosts,
# and not every runtime adds one.
RUN mkdir -p rootfs/out rootfs/tmp rootfs/etc && chmod 1777 rootfs/out rootfs/tmp && \
    printf '127.0.0.1 localhost\n::1 localhost\n' > rootfs/etc/hosts

FROM base AS source
COPY . .
ARG CONNECTOR
ARG VERSION
ARG TARGETOS
ARG TARGETARCH
ENV GOOS=$TARGETOS GOARCH=$TARGETARCH
RUN test -d "cmd/${CONNECTOR:?name the connector: --build-arg CONNECTOR=baton-guru}"
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    make bin/THIRD_PARTY_LICENSES

# Each stage repeats its arguments, because not every builder passes them on.
FROM source AS build
ARG CONNECTOR
ARG VERSION
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    make "bin/$CONNECTOR"

FROM source AS build-lambda
ARG CONNECTOR
ARG VERSION
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    make "bin/$CONNECTOR" TAGS=baton_lambda_support

# The base of all images.
FROM scratch AS root
ARG CONNECTOR
ARG VERSION
LABEL org.opencontainers.image.title="$CONNECTOR" \
      org.opencontainers.image.description="Reads users, groups and group memberships for ConductorOne" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.source="https://github.com/conductorone/baton-connectors" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=base /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=base /src/rootfs/ /
ENV HOME=/tmp
USER 65532:65532
# One-shot syncs write sync.c1z here; temporary files go to /tmp.
WORKDIR /out

# An entry point cannot contain a build argument, so each connector has its own
# stages. A stage has the name of its image.
FROM root AS baton-rudderstack
ENTRYPOINT ["/baton-rudderstack"]

FROM root AS baton-rudderstack-lambda
ENTRYPOINT ["/baton-rudderstack", "lambda"]

FROM root AS baton-guru
ENTRYPOINT ["/baton-guru"]

FROM root AS baton-guru-lambda
ENTRYPOINT ["/baton-guru", "lambda"]

# AWS Lambda runs the binary directly. The SDK includes the runtime client, so
# the image needs no base image from Amazon. On Lambda, only /tmp is writable.
FROM ${CONNECTOR}-lambda AS lambda
ARG CONNECTOR
COPY --from=build-lambda /src/bin/THIRD_PARTY_LICENSES /src/bin/$CONNECTOR /

FROM ${CONNECTOR}-lambda AS released-lambda
ARG CONNECTOR
ARG TARGETPLATFORM
COPY THIRD_PARTY_LICENSES $TARGETPLATFORM/$CONNECTOR /

FROM ${CONNECTOR} AS released
ARG CONNECTOR
ARG TARGETPLATFORM
COPY THIRD_PARTY_LICENSES $TARGETPLATFORM/$CONNECTOR /
VOLUME ["/out", "/tmp"]

FROM ${CONNECTOR} AS image
ARG CONNECTOR
COPY --from=build /src/bin/THIRD_PARTY_LICENSES /src/bin/$CONNECTOR /
VOLUME ["/out", "/tmp"]
