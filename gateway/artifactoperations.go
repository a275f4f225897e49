package gateway

import (
	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// digestNote is the same for all routes of artifacts.
const digestNote = " The digest is sha256: and the hash of the files as a tar of regular files in the order of their paths, with modes 0644 and 0755, time 0 and no owner."

var (
	artifactBody = []media{{api.ArtifactType, schema{}, nil}}
	opArtifact   = operation{
		tag: "artifacts", id: "getArtifact", summary: "The files of a function, as a compressed tar." + digestNote,
		answers: replies([]reply{{200, "The artifact; it never changes", media{contentType: api.ArtifactType, schema: schema{}}}},
			problem.InvalidArtifact, problem.NotFound, problem.Unavailable),
	}
	opAddArtifact = operation{
		tag: "artifacts", id: "addArtifact", summary: "Keep the files of a function, so that a Function can name them in spec.artifact: the body, or with upload and parts what was put in parts before.",
		params: []param{
			query("upload", "name of the upload in parts"),
			{name: "parts", in: "query", what: "how many parts it has", schema: schema{"type": "integer", "minimum": 1}},
		},
		body: artifactBody, bodyOptional: true,
		answers: replies([]reply{ok(201, "It is kept", "Artifact")},
			problem.InvalidArtifact, problem.InvalidQuery, problem.NotFound, problem.TooLarge, problem.Unavailable),
	}
	opPutArtifactPart = operation{
		tag: "artifacts", id: "putArtifactPart", summary: "Put a part of an upload, of whatever size a request may have; it is kept for an hour.",
		params: []param{
			{name: "upload", in: "query", what: "a name that the uploader makes up: 8 to 64 letters and digits", required: true},
			{name: "part", in: "query", what: "the part's number, from 1", schema: schema{"type": "integer", "minimum": 1}, required: true},
		},
		body: artifactBody,
		answers: replies([]reply{{status: 204, what: "It is kept"}},
			problem.InvalidArtifact, problem.InvalidQuery, problem.TooLarge, problem.Unavailable),
	}
)
