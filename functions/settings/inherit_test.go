package settings

import "testing"

func TestPrivate(t *testing.T) {
	for variable, want := range map[string]bool{
		"SIGNALBOX_KAFKA_PASSWORD=x": true, "OTEL_EXPORTER_OTLP_HEADERS=x": true, "OTEL_EXPORTER_OTLP_TRACES_HEADERS=x": true,
		"OTEL_EXPORTER_OTLP_ENDPOINT=x": false, "PATH=SIGNALBOX_": false, "": false,
	} {
		if Private(variable) != want {
			t.Errorf("%s: want %v", variable, want)
		}
	}
}

func TestAWS(t *testing.T) {
	for variable, want := range map[string]bool{
		"AWS_ACCESS_KEY_ID=x": true, "AWS_SECRET_ACCESS_KEY=x": true, "AWS_WEB_IDENTITY_TOKEN_FILE=x": true, "AWS_PROFILE=x": true,
		"LAWS_=x": false, "PATH=AWS_": false, "": false,
	} {
		if AWS(variable) != want {
			t.Errorf("%s: want %v", variable, want)
		}
	}
}
