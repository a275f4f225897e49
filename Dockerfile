# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -tags grpcnotrace -ldflags "-s -w -X github.com/signalbox-dev/signalbox/app.version=${VERSION}" -o /signalbox ./cmd/signalbox

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /signalbox /signalbox
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/signalbox"]
# Who reaches the port that a runtime publishes may do everything, unless
# SIGNALBOX_AUTH=required is set beside SIGNALBOX_ROOT_KEY or others of docs/security.md.
CMD ["serve", "--http", "0.0.0.0:8080", "--allow-unauthenticated-network"]
