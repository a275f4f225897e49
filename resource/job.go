package resource

import "time"

// Job is a function that one event runs once, to its end.
type Job struct {
	// Command is a local program; it runs in Dir of the function. Exactly one of
	// Command and Image is set.
	Command []string `json:"command,omitempty"`
	// Image is run by the function's Platform, docker (default) or kubernetes, as
	// Container of the function says.
	Image string `json:"image,omitempty"`
	// Args are given to the program or the image.
	Args []string `json:"args,omitempty"`
	// Timeout bounds a run; then it is killed and the attempt has failed. Default 1h, 1s to 168h.
	Timeout Duration `json:"timeout,omitzero"`
}

func (j *Job) validate(f *Faults) {
	switch {
	case len(j.Command) > 0 && j.Image != "":
		f.add("spec.job", "has command and image: want exactly one of them")
	case len(j.Command) > 0:
		if j.Command[0] == "" {
			f.add("spec.job.command[0]", "empty: want a program")
		}
	case j.Image != "":
		validateImage(f, "spec.job.image", j.Image)
	default:
		f.add("spec.job", "want exactly one of command, image")
	}
	if d := j.Timeout.D(); d != 0 && (d < time.Second || d > 7*24*time.Hour) {
		f.add("spec.job.timeout", "%s: want 1s to 168h, or 0 for 1h", j.Timeout)
	}
}
