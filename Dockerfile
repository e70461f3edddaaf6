# syntax=docker/dockerfile:1
#
#   docker build -t otload .
#   docker run --rm --network host -v "$PWD/examples:/scenarios:ro" otload run /scenarios/cars.yaml --demo
#
# Without arguments it is the daemon: `otload serve /scenarios`. Results go to /results. It runs as nobody in particular (65532), needs
# no capability and may have a read-only file system, but for /results.

# It has the C compiler and libraries that the build needs.
FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
# What cargo fetched and compiled is kept between builds; so the program has to be copied out of there.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin otload \
    && install -D --mode=755 target/release/otload /made/otload \
    && install --directory --mode=755 /made/results /made/scenarios

# A C library, the roots of certificates, a list of users: no shell, no package manager.
FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /made/otload /usr/local/bin/otload
COPY --from=build --chown=65532:65532 /made/results /results
COPY --from=build --chown=65532:65532 /made/scenarios /scenarios
USER 65532:65532
WORKDIR /
EXPOSE 9464
VOLUME ["/results"]
# Where everybody may ask, so that it needs no token.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --start-interval=1s --retries=3 \
    CMD ["/usr/local/bin/otload", "status", "--health"]
# The first one lets a run end in good order.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/otload"]
# On all addresses of the container it does nothing but serve metrics until it is given a token (OTLOAD_CONTROL_TOKEN_FILE).
CMD ["serve", "/scenarios", "--listen", "0.0.0.0:9464", "--out", "/results"]
