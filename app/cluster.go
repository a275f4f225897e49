package app

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/kube"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/openfaas"
	"github.com/signalbox-dev/signalbox/resource"
)

// ClusterOptions say where functions of platforms kubernetes, knative and openfaas run.
type ClusterOptions struct {
	Kubeconfig     string
	KubeNamespace  string
	KubeOwner      string
	KubeServiceURL string
	KubeLogs       bool

	OpenFaaSGateway        string
	OpenFaaSUser           string
	OpenFaaSPasswordSecret string
}

func defaultCluster() ClusterOptions {
	return ClusterOptions{KubeServiceURL: kube.DefaultConfig().ServiceURL, KubeLogs: true, OpenFaaSUser: openfaas.DefaultConfig().User}
}

func (o *ClusterOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "file that leads to the Kubernetes cluster for functions of platforms kubernetes and knative; empty: the cluster of the pod that this process runs in")
	fs.StringVar(&o.KubeNamespace, "kube-namespace", o.KubeNamespace, "namespace of functions that name none; empty: that of the kubeconfig's context or of the pod")
	fs.StringVar(&o.KubeOwner, "kube-owner", o.KubeOwner, "label by which the objects of this Signalbox are told from another one's; the same in all its processes; empty: a name made of --kafka and --topic-prefix")
	fs.StringVar(&o.KubeServiceURL, "kube-service-url", o.KubeServiceURL, "where a function's Service in the cluster is reached from here, with {service} and {namespace}")
	fs.BoolVar(&o.KubeLogs, "kube-logs", o.KubeLogs, "keep what the pods of functions print, as with functions that run elsewhere; false where the cluster collects it")
	fs.StringVar(&o.OpenFaaSGateway, "openfaas-gateway", o.OpenFaaSGateway, "URL of the OpenFaaS gateway for functions of platform openfaas; empty: none")
	fs.StringVar(&o.OpenFaaSUser, "openfaas-user", o.OpenFaaSUser, "user for its basic authentication")
	fs.StringVar(&o.OpenFaaSPasswordSecret, "openfaas-password-secret", o.OpenFaaSPasswordSecret, "name of the secret that holds the password; empty: no authentication")
}

func (o *ClusterOptions) validate() []error {
	var faults []error
	if o.KubeOwner != "" && !kube.ValidOwner(o.KubeOwner) {
		faults = append(faults, fmt.Errorf("--kube-owner %q: want at most 63 lower-case letters, digits, '-' and '.'", o.KubeOwner))
	}
	if !kube.ValidServiceURL(o.KubeServiceURL) {
		faults = append(faults, fmt.Errorf("--kube-service-url %q: want http:// or https:// and {service}", o.KubeServiceURL))
	}
	if !openfaas.ValidGateway(o.OpenFaaSGateway) {
		faults = append(faults, errors.New("--openfaas-gateway: want an http or https URL without user and query"))
	}
	if s := o.OpenFaaSPasswordSecret; s != "" && !resource.ValidSecretName(s) {
		faults = append(faults, fmt.Errorf("--openfaas-password-secret %q: want the name of a secret", s))
	}
	return faults
}

// openCluster makes the way to the cluster; nobody is asked yet.
func (a *App) openCluster() error {
	cfg := cluster.DefaultConfig()
	cfg.Kubeconfig, cfg.Namespace = a.opts.Kubeconfig, a.opts.KubeNamespace
	cfg.Agent, cfg.Log = "signalbox/"+Version(), a.log
	var err error
	a.cluster, err = cluster.New(cfg)
	return err
}

// kubeOwner is the label of what is ours in the cluster.
func (a *App) kubeOwner() string {
	if a.opts.KubeOwner != "" {
		return a.opts.KubeOwner
	}
	return "signalbox-" + a.installation()
}

// openKube adds what runs functions in a cluster. Who delivers looks after them;
// who only takes calls sees where they are.
func (a *App) openKube(runtimes map[string]functions.Runtime) error {
	if err := a.openCluster(); err != nil {
		return err
	}
	var faults []error
	for _, platform := range []string{resource.PlatformKubernetes, resource.PlatformKnative} {
		cfg := kube.DefaultConfig()
		cfg.Platform, cfg.Cluster, cfg.Owner, cfg.ServiceURL = platform, a.cluster, a.kubeOwner(), a.opts.KubeServiceURL
		cfg.Secrets, cfg.Log, cfg.ReadOnly = a.secrets.Lookup, a.log, !a.opts.has(RoleDispatcher)
		if a.opts.KubeLogs && a.opts.FunctionLogRate > 0 {
			cfg.Output = a.functionOutput
			if host, err := os.Hostname(); err == nil && host != "" {
				cfg.Process = host // the pod's, where it runs in one
			}
		}
		rt, err := kube.New(cfg)
		faults = append(faults, err)
		runtimes[platform] = rt
	}
	return errors.Join(faults...)
}

// openOpenFaaS makes what runs functions in OpenFaaS.
func (a *App) openOpenFaaS() (*openfaas.Runtime, error) {
	cfg := openfaas.DefaultConfig()
	cfg.Gateway, cfg.User, cfg.PasswordSecret = a.opts.OpenFaaSGateway, a.opts.OpenFaaSUser, a.opts.OpenFaaSPasswordSecret
	cfg.Owner, cfg.Secrets, cfg.Log, cfg.ReadOnly = a.kubeOwner(), a.secrets.Lookup, a.log, !a.opts.has(RoleDispatcher)
	return openfaas.New(cfg)
}
