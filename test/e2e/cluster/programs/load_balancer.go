package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// loadBalancer gives each Service of type LoadBalancer an address of the pool, or the one that its spec.loadBalancerIP
// names; kube-proxy then makes that address answer. A Service that asks for an address outside the pool stays pending,
// as in any cluster whose load balancer cannot provide an address.
func loadBalancer() *cobra.Command {
	var kubeconfig, pool string
	command := &cobra.Command{Use: "load-balancer", SilenceUsage: true}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the kubeconfig file to use")
	command.Flags().StringVar(&pool, "pool", "", "the addresses to give out, as a CIDR")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		prefix, err := netip.ParsePrefix(pool)
		if err != nil {
			return err
		}
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		// The defaults of five requests a second would hold a thousand Gateways up for minutes.
		config.QPS, config.Burst = 200, 400
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		balancer := balancer{client: client, pool: prefix.Masked()}
		for {
			if err := balancer.follow(cmd.Context()); err != nil {
				klog.ErrorS(err, "following the services")
				time.Sleep(time.Second)
			}
		}
	}
	return command
}

type balancer struct {
	client kubernetes.Interface
	pool   netip.Prefix
}

// follow lists the services, gives out addresses, and returns after the first change, or after five minutes without one.
func (b balancer) follow(ctx context.Context) error {
	services := b.client.CoreV1().Services(metav1.NamespaceAll)
	list, err := services.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if err := b.assign(ctx, list.Items); err != nil {
		return err
	}
	timeout := int64(300)
	watch, err := services.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, TimeoutSeconds: &timeout})
	if err != nil {
		return err
	}
	defer watch.Stop()
	<-watch.ResultChan()
	// What changes in the same moment is seen by one list.
	time.Sleep(20 * time.Millisecond)
	return nil
}

func (b balancer) assign(ctx context.Context, services []corev1.Service) error {
	taken := map[netip.Addr]bool{}
	var waiting []*corev1.Service
	for i := range services {
		service := &services[i]
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		if len(service.Status.LoadBalancer.Ingress) == 0 && service.DeletionTimestamp == nil {
			waiting = append(waiting, service)
		}
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if ip, err := netip.ParseAddr(ingress.IP); err == nil {
				taken[ip] = true
			}
		}
	}
	for _, service := range waiting {
		ip, err := b.pick(service.Spec.LoadBalancerIP, taken)
		if err != nil {
			klog.InfoS("no address", "service", klog.KObj(service), "reason", err)
			continue
		}
		taken[ip] = true
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip.String()}}
		if _, err := b.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{}); err != nil {
			return err
		}
		klog.InfoS("assigned", "service", klog.KObj(service), "ip", ip)
	}
	return nil
}

// pick returns the address asked for, or the lowest free one of the pool.
func (b balancer) pick(asked string, taken map[netip.Addr]bool) (netip.Addr, error) {
	if asked == "" {
		for ip := b.pool.Addr().Next(); b.pool.Contains(ip); ip = ip.Next() {
			if !taken[ip] {
				return ip, nil
			}
		}
		return netip.Addr{}, fmt.Errorf("all addresses of %s are taken", b.pool)
	}
	ip, err := netip.ParseAddr(asked)
	switch {
	case err != nil:
		return netip.Addr{}, err
	case !b.pool.Contains(ip):
		return netip.Addr{}, fmt.Errorf("%s is outside %s", ip, b.pool)
	case taken[ip]:
		return netip.Addr{}, fmt.Errorf("%s is taken", ip)
	}
	return ip, nil
}
