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
	// Args are given to the program, behind Command, or to the image in place of
	// those of Container. In them, and in Command behind the program, {name} stands
	// for a part of the event: see ParseTemplate.
	Args []string `json:"args,omitempty"`
	// Timeout bounds a run; then it is killed and the attempt has failed. Default 1h, 1s to 168h.
	Timeout Duration `json:"timeout,omitzero"`
	// Parallelism bounds the runs under way of each dispatcher; default 4, 1 to 200.
	Parallelism int `json:"parallelism,omitempty"`
	// PermanentExitCodes are those that say that trying again is of no use: the event
	// is a dead letter at once. Default 65 (EX_DATAERR of sysexits.h); 1 to 255.
	PermanentExitCodes []int `json:"permanentExitCodes,omitempty"`
	// KeepFor is how long a Kubernetes Job stays to be looked at once its end was
	// reported; default 10m, 1s to 720h. Platform kubernetes only.
	KeepFor Duration `json:"keepFor,omitzero"`
}

// WithDefaults fills in what is zero.
func (j Job) WithDefaults() Job {
	if j.Timeout == 0 {
		j.Timeout = Duration(time.Hour)
	}
	if j.Parallelism == 0 {
		j.Parallelism = 4
	}
	if j.PermanentExitCodes == nil {
		j.PermanentExitCodes = []int{65}
	}
	if j.KeepFor == 0 {
		j.KeepFor = Duration(10 * time.Minute)
	}
	return j
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
	if j.Parallelism < 0 || j.Parallelism > 200 {
		f.add("spec.job.parallelism", "%d: want 1 to 200, or 0 for 4", j.Parallelism)
	}
	for i, code := range j.PermanentExitCodes {
		if code < 1 || code > 255 {
			f.add(index("spec.job.permanentExitCodes", i), "%d: want 1 to 255", code)
		}
	}
	if d := j.KeepFor.D(); d != 0 && (d < time.Second || d > 30*24*time.Hour) {
		f.add("spec.job.keepFor", "%s: want 1s to 720h, or 0 for 10m", j.KeepFor)
	}
	j.validateTemplates(f)
}

func (j *Job) validateTemplates(f *Faults) {
	check := func(field, text string) {
		if _, err := ParseTemplate(text); err != nil {
			f.add(field, "%v", err)
		}
	}
	for i := 1; i < len(j.Command); i++ {
		check(index("spec.job.command", i), j.Command[i])
	}
	for i, arg := range j.Args {
		check(index("spec.job.args", i), arg)
	}
}
