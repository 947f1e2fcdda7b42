# Varnish in front of lastseat, behind whatever speaks TLS: a crowd that reloads the page of an event
# costs lastseat one request a second. For Debian's varnish 7.1 or newer; it goes to
# /etc/varnish/default.vcl. Nothing here is needed for safety: what lastseat says of its responses
# keeps tickets out of any cache.
#
# lastseat behind it:  lastseat --listen 127.0.0.1:8080 --trusted-proxy 127.0.0.1

vcl 4.1;

backend lastseat {
    .host = "127.0.0.1";
    .port = "8080";
}

sub vcl_recv {
    # For the operator, on the machine itself.
    if (req.url ~ "^/metrics") {
        return (synth(404));
    }
    # Everyone who comes this way is a buyer. (With --auth key this is ignored.)
    set req.http.X-Role = "user";
    # A stream of numbers is no page.
    if (req.http.Accept ~ "text/event-stream") {
        return (pass);
    }
}

sub vcl_backend_response {
    # Events and their list, as anyone may see them, for one second. varnish keeps apart what Vary
    # names.
    if (bereq.method == "GET" && !bereq.uncacheable && beresp.status == 200
        && bereq.url ~ "^/events(/[0-9]+)?(\?.*)?$") {
        # They are the first reader's.
        unset beresp.http.RateLimit;
        unset beresp.http.RateLimit-Policy;
        unset beresp.http.X-Request-Id;
        set beresp.ttl = 1s;
        set beresp.grace = 0s;
        set beresp.keep = 0s;
        return (deliver);
    }
}
