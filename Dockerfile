# esd in a container: built in one stage, and run in another that holds the program and the shared libraries it needs.
#
#   docker build -t esd .
#   docker run --rm -p 127.0.0.1:7070:7070 -p 127.0.0.1:7071:7071 esd dev
#
# docs/operating.md says how to run it. scripts/check-image builds and checks it, also where there is no Docker.
FROM debian:12 AS build
WORKDIR /src
# By itself, so that a change of the source doesn't install the packages again.
COPY scripts/install-deps scripts/lib.sh scripts/
RUN scripts/install-deps --minimal
COPY . .
RUN cmake --preset release && cmake --build build/release --target esd && strip -o /esd build/release/bin/esd

FROM debian:12-slim
# What `ldd` and `dpkg -S` say of esd; ca-certificates for TLS to brokers and peers.
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates libabsl20220623 libcpp-httplib0.11 libfmt9 libgrpc++1.51 libgrpc29 libprometheus-cpp-core1.0 \
      libprotobuf32 librdkafka1 librocksdb7.8 libsimdjson14 libspdlog1.10 libssl3 libstdc++6 libxxhash0 && \
    rm -rf /var/lib/apt/lists/*
# A fixed number, so that the owner of a volume stays the same from image to image.
RUN groupadd --gid 10001 esd && \
    useradd --uid 10001 --gid esd --no-create-home --home-dir /var/lib/esd --shell /usr/sbin/nologin esd && \
    install -d -o esd -g esd -m 0750 /var/lib/esd
COPY --from=build /esd /usr/local/bin/esd
# A container's loopback can't be reached from outside. So it listens on every address *in the container*, without TLS:
# who publishes the port, as with -p, decides who may reach it. With ESD_TLS_CERT and ESD_TLS_KEY it serves TLS.
ENV ESD_DATA_DIR=/var/lib/esd ESD_GRPC_LISTEN=0.0.0.0:7070 ESD_HTTP_LISTEN=0.0.0.0:7071 ESD_INSECURE=true
USER 10001:10001
WORKDIR /var/lib/esd
VOLUME /var/lib/esd
EXPOSE 7070 7071
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["esd", "health"]
ENTRYPOINT ["esd"]
CMD ["dev"]
