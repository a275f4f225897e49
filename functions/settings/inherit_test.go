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
