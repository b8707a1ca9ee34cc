# Builds the image of one connector, or with --target lambda the one for AWS
# Lambda:
#
#   docker build --build-arg CONNECTOR=baton-guru -t baton-guru .
#   docker build --build-arg CONNECTOR=baton-guru --target lambda -t baton-guru-lambda .
#
# The images hold a static binary, its licences, the certificates of the public
# authorities and two directories that any user may write to, and nothing else:
# no shell, no libc, no package manager. They run with a read-only root file
# system.
#
# Without VERSION the binary takes its version from git, which a label cannot:
# "make image" and the release state it for both.
#
# A release is built from the binaries that it publishes (--target released and
# released-lambda), so that an image runs what its checksum names.
ARG GO_VERSION=1.26
ARG CONNECTOR
ARG VERSION

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS base
WORKDIR /src
# The mode lets any user write, whatever --user or the orchestrator says. The
# two processes of a connector speak through localhost, which an empty image
# does not know and not every runtime makes known.
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

# Not every builder hands arguments down from stage to stage.
FROM source AS build-lambda
ARG CONNECTOR
ARG VERSION
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    make "bin/$CONNECTOR" TAGS=baton_lambda_support && mv "bin/$CONNECTOR" bin/connector

FROM source AS build
ARG CONNECTOR
ARG VERSION
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    make "bin/$CONNECTOR" && mv "bin/$CONNECTOR" bin/connector

# What all images have in common.
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

# AWS Lambda speaks to the binary itself, which brings its own runtime client:
# no base image of Amazon's is needed. Only /tmp can be written there.
FROM root AS lambda
COPY --from=build-lambda /src/bin/THIRD_PARTY_LICENSES /src/bin/connector /
ENTRYPOINT ["/connector", "lambda"]

FROM root AS released-lambda
ARG CONNECTOR
ARG TARGETPLATFORM
COPY bin/THIRD_PARTY_LICENSES /
COPY $TARGETPLATFORM/$CONNECTOR /connector
ENTRYPOINT ["/connector", "lambda"]

FROM root AS released
ARG CONNECTOR
ARG TARGETPLATFORM
COPY bin/THIRD_PARTY_LICENSES /
COPY $TARGETPLATFORM/$CONNECTOR /connector
VOLUME ["/out", "/tmp"]
ENTRYPOINT ["/connector"]

FROM root AS image
COPY --from=build /src/bin/THIRD_PARTY_LICENSES /src/bin/connector /
VOLUME ["/out", "/tmp"]
ENTRYPOINT ["/connector"]
