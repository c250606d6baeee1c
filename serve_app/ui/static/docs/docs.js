// /docs: Swagger UI over /openapi.json.
const place = document.getElementById("swagger-ui");
SwaggerUIBundle({
  url: place.dataset.openapi,
  domNode: place,
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
});
