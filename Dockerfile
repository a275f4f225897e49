# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/signalbox-dev/signalbox/app.version=${VERSION}" -o /signalbox ./cmd/signalbox

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /signalbox /signalbox
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/signalbox"]
CMD ["serve", "--http", "0.0.0.0:8080"]
