// Runs a Postman collection of TorchServe's: postman_client.js NEWMAN COLLECTION DATA PORT
// A program of its own because newman's, where a server keeps connections open, does not always end.
const [newman, collection, data, port] = process.argv.slice(2);
const variables = {hostname: "localhost", protocol: "http", "mgmt-port": port, "pred-port": port};

require(newman).run(
  {
    collection: require(collection),
    iterationData: data,
    envVar: Object.entries(variables).map(([key, value]) => ({key, value})),
    // Neither explanations, which no model here has, nor the metrics on TorchServe's own port.
    folder: ["Register Model", "Inference Model", "Unregister model"].map((part) => `Model Zoo - ${part}`),
    insecureFileRead: true,
    reporters: "cli",
  },
  (error, summary) => process.exit(error || summary.run.failures.length ? 1 : 0),
);
