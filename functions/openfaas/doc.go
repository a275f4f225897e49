// Package openfaas runs functions that are images in OpenFaaS, through its
// gateway: it deploys and removes them, and events go to the gateway's
// /function/<name>.
package openfaas
