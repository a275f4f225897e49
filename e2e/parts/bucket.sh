# shellcheck shell=bash
# An S3 server: versitygw over a directory, with one bucket.

bucket_home=$cache/versitygw-$VERSITYGW_VERSION

install_bucket() {
  [[ -d $bucket_home ]] && return
  command -v go >/dev/null || die "versitygw is built from its Go module: put Go on PATH"
  cached "versitygw-$VERSITYGW_VERSION" build_bucket
}

build_bucket() {
  CGO_ENABLED=0 GOFLAGS=-trimpath GOBIN=$1 nice -n 10 go install -buildvcs=false -ldflags '-s -w' "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW_VERSION"
}

start_bucket() {
  local port key password
  free_port port
  key=parts password=$(secret)
  # What is said of objects lies beside them: not every file system has extended attributes.
  mkdir -p "$dir/data/signalbox" "$dir/meta"
  ROOT_ACCESS_KEY=$key ROOT_SECRET_KEY=$password spawn s3 "$bucket_home/versitygw" --port "127.0.0.1:$port" --quiet posix --sidecar "$dir/meta" "$dir/data"
  cat >"$dir/env" <<CONF
S3_ENDPOINT=http://127.0.0.1:$port
S3_BUCKET=signalbox
S3_ACCESS_KEY=$key
S3_SECRET_KEY=$password
S3_PID=$pid
CONF
}

ready_bucket() { [[ $(curl -sS -m 5 -o /dev/null -w '%{http_code}' "$(value S3_ENDPOINT)/") == 403 ]]; }
